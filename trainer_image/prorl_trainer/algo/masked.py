"""The only place that reduces over tokens. Legend: T packed tokens.

Denominators are global and passed in, so that sharding, microbatching and accumulation do not
change a result.
"""

import torch
from torch import Tensor


def masked_sum(values: Tensor, mask: Tensor) -> Tensor:
    """Sum of values[T] where mask[T] (bool); a scalar. Masked values may be anything, even NaN."""
    return torch.where(mask, values, torch.zeros_like(values)).sum()


def masked_mean(values: Tensor, mask: Tensor, num_tokens: float) -> Tensor:
    """masked_sum / num_tokens, the tokens of the global mini-batch. Raises ValueError for 0."""
    if num_tokens <= 0:
        raise ValueError(f"num_tokens is {num_tokens}, must be positive: the mini-batch is empty")
    return masked_sum(values, mask) / num_tokens
