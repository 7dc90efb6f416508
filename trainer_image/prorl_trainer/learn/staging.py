"""A copy of a learner's state in host memory, from which a checkpoint is written."""

import copy
from typing import Any

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

Key = tuple[int, torch.Size]
"""Address and whole shape of a tensor."""


class Staging:
    """One copy, made anew by each `take` in the same memory: fresh pages cost as much as the copy
    itself. A rank's shards, wherever they are computed with, become CPU tensors here."""

    def __init__(self) -> None:
        self._held: dict[str, Tensor] = {}

    @torch.no_grad()
    def take(self, state: dict[str, Any]) -> dict[str, Any]:
        """The state as it is now, whatever becomes of the original; until the next `take`."""
        copies: dict[Key, Tensor] = {}
        return {key: self._take(key, value, copies) for key, value in state.items()}

    def _take(self, name: str, value: Any, copies: dict[Key, Tensor]) -> Any:
        if isinstance(value, dict):
            return {key: self._take(f"{name}/{key}", v, copies) for key, v in value.items()}
        if not isinstance(value, Tensor):
            return copy.deepcopy(value)
        key = (_local(value).data_ptr(), value.shape)
        if key not in copies:  # a tied head has two names
            copies[key] = self._copy(name, value)
        return copies[key]

    def _copy(self, name: str, value: Tensor) -> Tensor:
        held = self._held.get(name)
        if held is None:
            held = self._held[name] = value.detach().to("cpu", copy=True)
        else:
            _local(held).copy_(_local(value))
        return held


def _local(tensor: Tensor) -> Tensor:
    """What this rank has of it."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor
