"""Correction of the mismatch between the engine that sampled and the trainer that learns: weights
of the policy loss. Sources: docs/recipe.md. Legend: T packed tokens, S sequences in them.

rho = exp(lp_old - lp_roll). All results are fp32 and carry no gradient.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from prorl_trainer.algo.policy_loss import LOG_RATIO_CLAMP


@dataclass(frozen=True, kw_only=True, slots=True)
class Correction:
    """Per-token results, [T]."""

    weights: Tensor
    """Multiplies the policy loss."""
    out_of_bounds: Tensor
    """Bool: where the bounds have changed or dropped the weight."""


def log_rho(old_logprobs: Tensor, rollout_logprobs: Tensor) -> Tensor:
    """lp_old - lp_roll [T], detached, fp32, clamped to ±20."""
    difference = old_logprobs.detach().float() - rollout_logprobs.float()
    return difference.clamp(-LOG_RATIO_CLAMP, LOG_RATIO_CLAMP)


def truncated(log_ratio: Tensor, *, low: float, high: float) -> Correction:
    """TIS: rho clamped to [low, high]. Argument: log_rho [T]."""
    rho = _exp(log_ratio)
    return Correction(weights=rho.clamp(low, high), out_of_bounds=(rho < low) | (rho > high))


def icepop(log_ratio: Tensor, *, low: float, high: float) -> Correction:
    """ICE-POP: rho where it is in [low, high], else 0. Argument: log_rho [T]."""
    rho = _exp(log_ratio)
    out = (rho < low) | (rho > high)
    return Correction(weights=torch.where(out, 0.0, rho), out_of_bounds=out)


def sequence_mask(
    log_ratio: Tensor, mask: Tensor, sequence: Tensor, *, low: float, high: float
) -> Correction:
    """seq-mask-TIS: rho where the geometric mean of rho over the sequence's unmasked tokens is in
    [low, high], else 0. log_rho, mask (bool), sequence (int64 index of the token's sequence): [T].
    """
    size = int(sequence.max()) + 1 if sequence.numel() else 0
    zeros = torch.zeros(size, dtype=torch.float32, device=log_ratio.device)
    sums = zeros.index_add(0, sequence, torch.where(mask, log_ratio, 0.0))
    counts = zeros.index_add(0, sequence, mask.float())
    mean = (sums / counts.clamp(min=1.0)).exp()
    out = ((mean < low) | (mean > high))[sequence]
    return Correction(weights=torch.where(out, 0.0, _exp(log_ratio)), out_of_bounds=out)


def _exp(log_ratio: Tensor) -> Tensor:
    return log_ratio.exp().nan_to_num(nan=0.0)
