"""Causal attention over packed sequences that costs the sum of their squares, not the square of
their sum.

transformers finds packed sequences by their positions, but its sdpa then gets a [T, T] mask: no
flash kernel takes one, and 32k tokens are a GiB. Its flash_attention_2 needs a package that we do
not ship. So this registers an implementation of ours: torch's own varlen flash kernel on a GPU in
half precision, and one causal call per sequence elsewhere.

Legend: T packed tokens, H heads, K key-value heads, E head size.
"""

import itertools
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention.varlen import varlen_attn
from transformers import AttentionInterface

from prorl_trainer.errors import ModelError

NAME = "prorl_packed"
Heads = tuple[Tensor, Tensor, Tensor]
"""query [B, H, T, E], key and value [B, K, T, E]."""

LAYER_TYPES = {"full_attention", "sliding_attention"}
UNSUPPORTED = ("softcap", "s_aux", "position_bias")
KERNEL_TOLERANCE = 0.02
"""bf16 has 8 bits: 2^-8 of values around 1, a few times."""


@dataclass(frozen=True, slots=True)
class Packing:
    """Where sequences begin and end: bounds 0, ..., T on the host and, int32, on the device."""

    bounds: tuple[int, ...]
    on_device: Tensor

    @property
    def longest(self) -> int:
        """Tokens of the longest sequence."""
        return max(b - a for a, b in itertools.pairwise(self.bounds))


def find_packing(position_ids: Tensor) -> Packing:
    """position_ids [T], restarting at 0 for each sequence. Waits for the device."""
    starts = (position_ids == 0).nonzero()[:, 0].tolist()
    bounds = (*starts, len(position_ids))
    on_device = torch.tensor(bounds, dtype=torch.int32, device=position_ids.device)
    return Packing(bounds, on_device)


def use_packed_attention(hf: Any) -> None:
    """Switches a Hugging Face model over. One with layers that ours would compute wrongly keeps its
    own attention, which is as right and slower."""
    types = set(getattr(hf.config, "layer_types", None) or LAYER_TYPES)
    if types <= LAYER_TYPES and getattr(hf.config, "attention_chunk_size", None) is None:
        AttentionInterface.register(NAME, packed_attention)
        hf.set_attn_implementation(NAME)


def packed_attention(  # noqa: PLR0913 - transformers sets the signature
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float | None = None,
    sliding_window: int | None = None,
    packing: Packing | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """query, key, value: see Heads; B is 1 if there is a packing. Returns [B, T, H, E] and no
    weights. Raises ModelError for terms that it does not compute."""
    given = [name for name in UNSUPPORTED if options.get(name) is not None]
    if given or attention_mask is not None or query.shape[2] != key.shape[2]:
        what = given[0] if given else "a mask or a cache"
        raise ModelError(f"{type(module).__name__} is not supported: its attention has {what}.")
    heads, window = (query, key, value), sliding_window or query.shape[2]
    if packing is not None and query.is_cuda and query.dtype in (torch.bfloat16, torch.float16):
        return _kernel(heads, packing, window, scaling), None
    bounds = (0, query.shape[2]) if packing is None else packing.bounds
    return _by_sequence(heads, bounds, window, scaling), None


def _kernel(heads: Heads, packing: Packing, window: int, scaling: float | None) -> Tensor:
    """One call for all sequences; [1, T, H, E]."""
    longest = packing.longest
    query, key, value = (tensor[0].transpose(0, 1) for tensor in heads)
    out = varlen_attn(
        query,
        key,
        value,
        packing.on_device,
        packing.on_device,
        longest,
        longest,
        scale=scaling,
        # (left, right), the token itself not counted; (-1, 0) is plain causal.
        window_size=(window - 1 if window < longest else -1, 0),
        enable_gqa=query.shape[1] != key.shape[1],
    )
    assert isinstance(out, Tensor)
    return out[None]


def _by_sequence(
    heads: Heads, bounds: tuple[int, ...], window: int, scaling: float | None
) -> Tensor:
    query, key, value = heads
    shared = query.shape[1] // key.shape[1]
    if shared > 1:  # no fp32 kernel knows of shared heads
        key, value = (tensor.repeat_interleave(shared, dim=1) for tensor in (key, value))
    parts = []
    for a, b in itertools.pairwise(bounds):
        mask = _band(b - a, window, query.device) if window < b - a else None
        q, k, v = (tensor[:, :, a:b] for tensor in (query, key, value))
        parts.append(
            F.scaled_dot_product_attention(
                q, k, v, attn_mask=mask, is_causal=mask is None, scale=scaling
            )
        )
    return torch.cat(parts, dim=2).transpose(1, 2).contiguous()


def _band(length: int, window: int, device: torch.device) -> Tensor:
    """Each token sees itself and window - 1 before it; [length, length], bool."""
    index = torch.arange(length, device=device)
    distance = index[:, None] - index[None]
    return (distance >= 0) & (distance < window)


@torch.no_grad()
def check_kernel(device: torch.device) -> None:
    """Raises ModelError unless the GPU's kernel gives what one call per sequence does."""
    generator = torch.Generator(device).manual_seed(0)
    query, key, value = (
        torch.randn(1, count, 12, 64, generator=generator, device=device, dtype=torch.bfloat16)
        for count in (4, 2, 2)
    )
    heads = (query, key, value)
    packing = find_packing(torch.tensor([*range(7), *range(5)], device=device))
    for window in (12, 3):
        kernel = _kernel(heads, packing, window, None)
        expected = _by_sequence(heads, packing.bounds, window, None)
        difference = float((kernel - expected).abs().max())
        if not difference <= KERNEL_TOLERANCE:
            raise ModelError(
                f"The attention kernel of this GPU differs from the plain one by {difference:.2e}, "
                f"more than {KERNEL_TOLERANCE}."
            )
