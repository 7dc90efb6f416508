"""Reads weights back out of a model of vLLM's, tensor by tensor, under Hugging Face names.

vLLM's own compute_weight_checksums cannot be compared with a learner's: it sees fused tensors, and
on a CPU none of the linear layers, whose weights are packed away and replaced by empty ones.
Legend: O output features, I input features.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from prorl_trainer.errors import WeightSyncError
from prorl_trainer.rollout.backend import EMBEDDING, HEAD


def read_tensors(model: Any, shapes: Mapping[str, list[int]]) -> Iterator[tuple[str, Tensor]]:
    """Every tensor of `shapes`, and the head if it is tied: it may have a copy of its own. Raises
    WeightSyncError."""
    for name in shapes:
        yield name, read_tensor(model, name, shapes)
    if HEAD not in shapes and getattr(model.config, "tie_word_embeddings", False):
        yield HEAD, read_tensor(model, HEAD, {HEAD: shapes[EMBEDDING]})


def read_tensor(model: Any, name: str, shapes: Mapping[str, list[int]]) -> Tensor:
    """One tensor, of shape shapes[name]. Raises WeightSyncError where the model has none such."""
    module, _, leaf = name.rpartition(".")
    parent, _, part = module.rpartition(".")
    fused, before = _fused(model, part)
    path = f"{parent}.{fused}" if parent else fused
    start = sum(shapes[f"{parent}.{other}.{leaf}"][0] for other in before)
    try:
        whole = _weights(model.get_submodule(path), leaf)
        found = whole[start : start + shapes[name][0]]
    except AttributeError as error:
        raise _unknown(model, name) from error
    if list(found.shape) != list(shapes[name]):
        raise _unknown(model, name)
    return found


def _fused(model: Any, part: str) -> tuple[str, list[str]]:
    """The module that holds `part`, and what lies before it there."""
    for fused, parts in getattr(model, "packed_modules_mapping", {}).items():
        if part in parts:
            return fused, parts[: parts.index(part)]
    return part, []


def _weights(layer: Any, leaf: str) -> Tensor:
    """layer.leaf; a packed matrix [O, I] as what the layer makes of the unit vectors [I, I]."""
    kept: Tensor = getattr(layer, leaf)
    if leaf != "weight" or not hasattr(layer, "cpu_linear"):
        return kept
    width = getattr(layer, "input_size", None) or layer.embedding_dim
    unit = torch.eye(width, dtype=kept.dtype)
    columns: Tensor = layer.cpu_linear(unit, kept, None)
    return columns.t()


def _unknown(model: Any, name: str) -> WeightSyncError:
    return WeightSyncError(
        f"spec.rollout.verifyWeights: {name} cannot be found in {type(model).__name__}, whose "
        "layout is not one that is known."
    )
