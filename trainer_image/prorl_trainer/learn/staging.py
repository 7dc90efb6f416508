"""A copy of a learner's state in host memory, from which a checkpoint is written."""

import copy
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

Key = tuple[int, torch.Size]
"""Address and whole shape of a tensor."""


class Staging:
    """One copy, made anew in the same memory each time: fresh pages cost as much as the copy
    itself. A rank's shards, wherever they are computed with, become CPU tensors here.

    A thread copies, since most of what a learner does next only reads the state."""

    def __init__(self) -> None:
        self._held: dict[str, Tensor] = {}
        self._copier = ThreadPoolExecutor(1, "staging")
        self._copying: Future[dict[str, Any]] = Future()
        self._copying.set_result({})

    def begin(self, state: dict[str, Any]) -> None:
        """Returns at once; nobody may change the state before `whole` has returned. What an earlier
        one had and this has not stays in the copy."""
        staged = self.whole()
        self._copying = self._copier.submit(self._update, staged, state)

    def whole(self) -> dict[str, Any]:
        """The copy of the state as it was at `begin`, once it is complete; until the next one.
        Raises what the copying has failed with."""
        return self._copying.result()

    @torch.no_grad()
    def _update(self, staged: dict[str, Any], state: dict[str, Any]) -> dict[str, Any]:
        copies: dict[Key, Tensor] = {}
        return staged | {key: self._take(key, value, copies) for key, value in state.items()}

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
