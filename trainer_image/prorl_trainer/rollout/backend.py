"""How weights travel to the engines, as data: which backend, and what its two ends are told.

Names and fields are vLLM's (vllm.distributed.weight_transfer); tests/unit/trainer/test_backend.py
holds them to the installed version. No torch, ray or vllm here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from prorl_api.spec_roles import EngineKind

EMBEDDING = "model.embed_tokens.weight"
HEAD = "lm_head.weight"
"""Not sent where it is tied to the embedding."""


class Backend(StrEnum):
    """The value is the name under which vLLM knows it."""

    GLOO = "prorl_gloo"
    """Ours: broadcast over the CPU; works everywhere."""
    NCCL = "nccl"
    """GPU to GPU, learner and engines on different GPUs."""
    IPC = "ipc"
    """Learner and engine on the same GPU: the engine copies from the learner's memory."""


def choose_backend(
    kind: EngineKind, *, trainer_gpus: int, rollout_gpus: int, colocated: bool = False
) -> Backend:
    """By devices and placement. The transformers engine and everything with a CPU at one end take
    gloo."""
    if kind is not EngineKind.VLLM or not trainer_gpus or not rollout_gpus:
        return Backend.GLOO
    return Backend.IPC if colocated else Backend.NCCL


def wire_dtype(kind: EngineKind, rollout_gpus: int) -> str:
    """The engine's own dtype: sending more would only be thrown away there."""
    return "bfloat16" if kind is EngineKind.VLLM and rollout_gpus else "float32"


@dataclass(frozen=True, kw_only=True, slots=True)
class Channel:
    """An open weight channel: rank 0 is the learner, the engine workers are 1 and up."""

    backend: Backend
    dtype: str
    """Of every tensor on the wire."""
    host: str
    port: int
    world_size: int


Handles = dict[str, tuple[Any, ...]]
"""GPU UUID -> what rebuilds a tensor of that GPU in another process."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Announcement:
    """What an update will bring, in the order of sending."""

    names: list[str]
    """As Hugging Face has them."""
    dtypes: list[str]
    shapes: list[list[int]]
    handles: list[Handles] | None = None
    """IPC only: one per tensor."""


def merge_announcements(by_rank: Sequence[Announcement]) -> Announcement:
    """Rank 0's, with the handles of all ranks: each rank has exported on its own GPU."""
    first = by_rank[0]
    if first.handles is None:
        return first
    rows = zip(*(a.handles or [] for a in by_rank), strict=True)
    return Announcement(
        names=first.names,
        dtypes=first.dtypes,
        shapes=first.shapes,
        handles=[{uuid: how for handle in row for uuid, how in handle.items()} for row in rows],
    )


def init_info(channel: Channel, rank: int) -> dict[str, Any]:
    """What the engine worker of this rank is told to join."""
    if channel.backend is Backend.IPC:
        return {"packed": False}
    if channel.backend is Backend.NCCL:
        return {
            "master_address": channel.host,
            "master_port": channel.port,
            "rank_offset": rank,
            "world_size": channel.world_size,
            "packed": True,
        }
    return {
        "host": channel.host,
        "port": channel.port,
        "rank": rank,
        "world_size": channel.world_size,
    }


def update_info(announcement: Announcement) -> dict[str, Any]:
    """What the engine's workers are told to receive."""
    info: dict[str, Any] = {
        "names": announcement.names,
        "dtype_names": announcement.dtypes,
        "shapes": announcement.shapes,
    }
    return info if announcement.handles is None else info | {"ipc_handles": announcement.handles}
