"""How weights travel: which backend, and what its ends are told."""

from dataclasses import replace

import pytest
from prorl_api.spec_roles import EngineKind
from prorl_trainer.rollout.backend import (
    Announcement,
    Backend,
    choose_backend,
    merge_announcements,
    wire_dtype,
)

TOLD = Announcement(names=["a", "b"], dtypes=["bfloat16"] * 2, shapes=[[2], [3, 4]])


@pytest.mark.parametrize(
    ("kind", "trainer_gpus", "rollout_gpus", "colocated", "expected"),
    [
        (EngineKind.VLLM, 0, 0, False, Backend.GLOO),
        (EngineKind.VLLM, 8, 1, False, Backend.NCCL),
        (EngineKind.VLLM, 8, 1, True, Backend.IPC),
        (EngineKind.VLLM, 0, 1, False, Backend.GLOO),
        (EngineKind.VLLM, 8, 0, False, Backend.GLOO),
        (EngineKind.TRANSFORMERS, 8, 1, False, Backend.GLOO),
    ],
)
def test_nccl_joins_two_gpus_ipc_one_and_gloo_all_else(
    kind: EngineKind, trainer_gpus: int, rollout_gpus: int, colocated: bool, expected: Backend
) -> None:
    found = choose_backend(
        kind, trainer_gpus=trainer_gpus, rollout_gpus=rollout_gpus, colocated=colocated
    )
    assert found is expected


def test_the_wire_carries_the_engines_own_dtype() -> None:
    assert wire_dtype(EngineKind.VLLM, 1) == "bfloat16"
    assert wire_dtype(EngineKind.VLLM, 0) == "float32"
    assert wire_dtype(EngineKind.TRANSFORMERS, 1) == "float32"


def test_handles_of_all_ranks_meet_per_tensor() -> None:
    ranks = [
        replace(TOLD, handles=[{f"gpu-{rank}": (rank, name)} for name in TOLD.names])
        for rank in (0, 1)
    ]
    assert merge_announcements(ranks).handles == [
        {"gpu-0": (0, "a"), "gpu-1": (1, "a")},
        {"gpu-0": (0, "b"), "gpu-1": (1, "b")},
    ]
    assert merge_announcements([TOLD, TOLD]) == TOLD
