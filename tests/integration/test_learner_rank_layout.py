"""Two ranks in bf16 with activation checkpointing do what one rank does so."""

import dataclasses
from typing import Any

import pytest
import torch
from learner_builders import build_model_dir, make_batch, make_settings
from prorl_api.spec_roles import Precision
from prorl_trainer.types import TrainingBatch
from two_ranks import Plan, run_one, run_two

LAYOUT: dict[str, Any] = {"precision": Precision.BF16, "activation_checkpointing": True}
STEP = (make_batch(groups=5, samples=3), make_settings(num_updates=1, learning_rate=1e-6))


def overflowing_on_one_rank() -> TrainingBatch:
    """Finite itself, but with an infinite gradient on the rank that gets the second sequence."""
    batch = make_batch()
    bad = dataclasses.replace(batch.sequences[1], advantage=1e38)
    return dataclasses.replace(batch, sequences=(batch.sequences[0], bad, *batch.sequences[2:]))


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Any:
    directory = tmp_path_factory.mktemp("layout")
    model_dir = build_model_dir(directory / "model", initializer_range=0.05)
    shards = str(directory / "shards")
    plan: Plan = [
        ("update", STEP), ("gradients", ()), ("save", (shards,)), ("state_digest", ()),
        ("error_of", ("update", make_batch(), make_settings(kl_coefficient=float("nan")))),
        ("state_digest", ()),
        ("error_of", ("update", overflowing_on_one_rank(), make_settings(num_updates=1))),
        ("state_digest", ()),
    ]  # fmt: skip
    two = run_two(model_dir, plan, directory, **LAYOUT)
    one = run_one(model_dir, plan[:2], **LAYOUT)
    # What two ranks in bf16 have saved, one in fp32 goes on from.
    return one, two, run_one(model_dir, [("load", (shards,)), ("state_digest", ())])


def test_gradients_are_those_of_one_rank_up_to_the_rounding_of_bf16(results: Any) -> None:
    one, two, _ = results
    for rank in two:
        assert rank[0].metrics["grad_norm"] == pytest.approx(one[0].metrics["grad_norm"], rel=5e-3)
        assert rank[0].metrics["ppo_kl"] == rank[0].metrics["kl"] == 0.0
        for name, gradient in one[1].items():
            difference = (rank[1][name] - gradient).norm() / gradient.norm()
            assert difference < 0.02, name
            assert rank[1][name].dtype == torch.float32


def test_the_checkpoint_of_two_ranks_in_bf16_is_exact_for_one_in_fp32(results: Any) -> None:
    _, two, after = results
    assert after[1] == two[0][3]


def test_a_refused_update_changes_nothing_on_any_rank(results: Any) -> None:
    for rank in results[1]:
        assert rank[4].startswith("NonFiniteError: Loss nan")
        assert rank[5] == rank[3]
        assert rank[6].startswith("NonFiniteError: Loss")
        assert rank[7] == rank[3], "weights, moments and step counters, on the healthy rank too"
