"""KL estimators between policy and reference from sampled tokens (Schulman, "Approximating KL
divergence"). Legend: T packed tokens; delta = lp - lp_ref, fp32."""

import torch
from torch import Tensor


def clamped_delta(logprobs: Tensor, ref_logprobs: Tensor, clamp: float) -> Tensor:
    """delta[T] in fp32, clamped to [-clamp, clamp] before anything is made of it: no overflow."""
    return (logprobs.float() - ref_logprobs.float()).clamp(-clamp, clamp)


def k1(delta: Tensor) -> Tensor:
    """delta[T]: unbiased, may be negative; as a loss its expected gradient is zero."""
    return delta


def k2(delta: Tensor) -> Tensor:
    """delta²/2 [T]: as a loss its on-policy gradient is that of the reverse KL (ProRL v2)."""
    return 0.5 * delta.square()


def k3(delta: Tensor) -> Tensor:
    """exp(-delta) - 1 + delta [T]: non-negative; as a loss it follows the forward KL."""
    return torch.expm1(-delta) + delta
