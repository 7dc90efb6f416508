"""The PPO surrogate with asymmetric clipping ("clip-higher", DAPO, arXiv 2503.14476).
Legend: T packed tokens."""

from dataclasses import dataclass

import torch
from torch import Tensor

LOG_RATIO_CLAMP = 20.0
"""exp(20) still is finite in fp32, and no sane ratio comes near it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PolicyLoss:
    """Per-token results, all [T], fp32 or bool."""

    loss: Tensor
    clipped_low: Tensor
    """Where the lower clip is active (advantage < 0)."""
    clipped_high: Tensor
    """Where the upper clip is active (advantage > 0)."""
    log_ratio: Tensor


def clip_higher_loss(
    logprobs: Tensor, old_logprobs: Tensor, advantages: Tensor, *, low: float, high: float
) -> PolicyLoss:
    """-min(r·A, clip(r, 1-low, 1+high)·A) with r = exp(lp - lp_old). Arguments [T], fp32."""
    log_ratio = (logprobs - old_logprobs).clamp(-LOG_RATIO_CLAMP, LOG_RATIO_CLAMP)
    ratio = log_ratio.exp()
    clipped = ratio.clamp(1.0 - low, 1.0 + high)
    return PolicyLoss(
        loss=-torch.minimum(ratio * advantages, clipped * advantages),
        clipped_low=(ratio < 1.0 - low) & (advantages < 0),
        clipped_high=(ratio > 1.0 + high) & (advantages > 0),
        log_ratio=log_ratio.detach(),
    )


def dual_clip(loss: Tensor, advantages: Tensor, limit: float) -> tuple[Tensor, Tensor]:
    """The loss [T] of clip_higher_loss with at most limit·|A| where A < 0 (dual clip, arXiv
    1912.09729), and where [T, bool] that was needed; there the gradient is zero. limit > 1."""
    ceiling = -limit * advantages
    over = (advantages < 0) & (loss > ceiling)
    return torch.where(over, ceiling, loss), over
