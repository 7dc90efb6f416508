"""Writing safetensors files tensor by tensor; the library's writer wants a whole file in memory.

Format (https://github.com/huggingface/safetensors, "Format"): 8 bytes little-endian header length,
a JSON header with dtype, shape and offsets of each tensor, then their bytes without gaps.
"""

import json
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from prorl_api.spec_output import ExportDtype
from torch import Tensor

INDEX = "model.safetensors.index.json"
DTYPES = {
    ExportDtype.BFLOAT16: ("BF16", torch.bfloat16),
    ExportDtype.FLOAT32: ("F32", torch.float32),
}

Read = Callable[[str], Tensor]
"""The whole tensor of a name."""
Shapes = Mapping[str, Sequence[int]]
"""Name -> shape, in the order of writing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WeightFile:
    """One file to be written."""

    name: str
    tensors: tuple[str, ...]


def split_files(shapes: Shapes, dtype: ExportDtype, max_bytes: int) -> list[WeightFile]:
    """Fills files in order up to max_bytes; a larger tensor gets a file of its own. Named as
    transformers names them."""
    groups: list[list[str]] = []
    room = 0
    for name, shape in shapes.items():
        size = _size_bytes(shape, dtype)
        if not groups or size > room:
            groups.append([])
            room = max_bytes
        groups[-1].append(name)
        room -= size
    if len(groups) == 1:
        return [WeightFile(name="model.safetensors", tensors=tuple(groups[0]))]
    return [
        WeightFile(name=f"model-{i:05}-of-{len(groups):05}.safetensors", tensors=tuple(group))
        for i, group in enumerate(groups, 1)
    ]


def write_weights(
    directory: Path, shapes: Shapes, dtype: ExportDtype, read: Read, max_bytes: int
) -> None:
    """All files, and the index where there are several. One tensor is in memory at a time.
    Raises OSError."""
    files = split_files(shapes, dtype, max_bytes)
    for file in files:
        _write_file(directory / file.name, {n: shapes[n] for n in file.tensors}, dtype, read)
    if len(files) > 1:
        index = {
            "metadata": {"total_size": sum(_size_bytes(s, dtype) for s in shapes.values())},
            "weight_map": {name: file.name for file in files for name in file.tensors},
        }
        (directory / INDEX).write_text(json.dumps(index, indent=2) + "\n")


def _write_file(path: Path, shapes: Shapes, dtype: ExportDtype, read: Read) -> None:
    header = json.dumps(dict(_header(shapes, dtype)), separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)  # the data begins aligned
    with path.open("xb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        for name, shape in shapes.items():
            tensor = read(name)
            if tuple(tensor.shape) != tuple(shape):
                raise ValueError(f"{name} has shape {tuple(tensor.shape)}, must have {shape}")
            data = tensor.to(DTYPES[dtype][1]).contiguous().view(-1).view(torch.uint8)
            file.write(data.numpy().data)
        file.flush()
        os.fsync(file.fileno())


def _header(shapes: Shapes, dtype: ExportDtype) -> Iterator[tuple[str, object]]:
    yield "__metadata__", {"format": "pt"}
    begin = 0
    for name, shape in shapes.items():
        end = begin + _size_bytes(shape, dtype)
        offsets = [begin, end]
        yield name, {"dtype": DTYPES[dtype][0], "shape": list(shape), "data_offsets": offsets}
        begin = end


def _size_bytes(shape: Sequence[int], dtype: ExportDtype) -> int:
    return math.prod(shape) * DTYPES[dtype][1].itemsize
