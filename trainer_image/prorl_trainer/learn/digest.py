"""One hash for a nested state of tensors."""

import hashlib
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from prorl_trainer.learn.policy import full


def digest(state: dict[str, Any]) -> str:
    """sha256 over names and bytes of all tensors: equal iff they are bit-equal. A collective on all
    ranks if they are sharded."""
    found = hashlib.sha256()
    for name, tensor in sorted(_tensors("", state), key=lambda entry: entry[0]):
        found.update(name.encode())
        found.update(full(tensor).cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


def _tensors(prefix: str, state: Any) -> Sequence[tuple[str, Tensor]]:
    if isinstance(state, Tensor):
        return [(prefix, state)]
    if not isinstance(state, dict):
        return []
    return [t for key, value in state.items() for t in _tensors(f"{prefix}/{key}", value)]
