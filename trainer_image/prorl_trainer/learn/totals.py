"""What a step measures on one rank, and how the ranks put it together.

Legend: M response tokens of a microbatch.
"""

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from prorl_trainer.algo.kl import clamped_delta, k2, k3
from prorl_trainer.algo.masked import masked_sum
from prorl_trainer.algo.mismatch import Correction, log_rho
from prorl_trainer.algo.policy_loss import LOG_RATIO_CLAMP, PolicyLoss
from prorl_trainer.types import UpdateSettings

SMALLEST_SQUARE = math.exp(-2.0 * LOG_RATIO_CLAMP)
"""Of a clamped rho; sums of squares near it are lost in rounding."""


class Ranks(Protocol):
    """The process group as the step needs it."""

    rank: int
    world_size: int

    def all_reduce_sum(self, values: Tensor) -> Tensor:
        """Sum over ranks."""
        ...

    def all_reduce_max(self, values: Tensor) -> Tensor:
        """Maximum over ranks."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Scored:
    """A microbatch on the device with its frozen log-probs; all tensors [M] but the inputs."""

    inputs: tuple[Tensor, Tensor, Tensor, Tensor]
    mask: Tensor
    advantages: Tensor
    rollout: Tensor
    old: Tensor
    entropy: Tensor | None
    """Exact, before the first update; None unless there is a bonus."""
    correction: Correction
    reference: Tensor


class Totals:
    """Sums over this rank's tokens of the step, reduced once at its end."""

    NAMES = (
        "tokens", "kl", "kl_k1", "entropy", "entropy_exact", "clip_fraction_low",
        "clip_fraction_high", "clip_fraction_dual", "ppo_kl", "mismatch", "token_mult_prob_error",
        "prob_difference", "gen_kl", "is_oob_ratio", "is_excess", "is_excess_squared",
    )  # fmt: skip

    def __init__(self, *, exact_entropy: bool) -> None:
        self.loss = 0.0
        self.grad_norm = 0.0
        self.updates = 0
        self.exact_entropy = exact_entropy
        self.sums = torch.zeros(len(self.NAMES), dtype=torch.float64)
        self.mismatch_max = torch.zeros((), dtype=torch.float64)

    def add(self, m: Scored, surrogate: PolicyLoss, over: Tensor, settings: UpdateSettings) -> None:
        """Adds one microbatch. KL and entropy are those before the step's first update."""
        delta = clamped_delta(m.old, m.reference, settings.kl_clamp)
        mismatch = (m.old - m.rollout).abs()
        log_ratio = log_rho(m.old, m.rollout)
        # rho - 1, not rho: the variance of numbers near 1 would drown in rounding.
        excess = torch.expm1(log_ratio)
        columns = (
            torch.ones_like(m.old),
            k2(delta),
            delta,
            -m.old,
            torch.zeros_like(m.old) if m.entropy is None else m.entropy,
            surrogate.clipped_low.float(),
            surrogate.clipped_high.float(),
            over.float(),
            -surrogate.log_ratio,
            mismatch,
            log_ratio.abs().exp(),
            (m.old.exp() - m.rollout.exp()).abs(),
            k3(-log_ratio),
            m.correction.out_of_bounds.float(),
            excess,
            excess.square(),
        )
        self.sums += torch.stack([masked_sum(c, m.mask).double() for c in columns]).cpu()
        if bool(m.mask.any()):
            self.mismatch_max = torch.maximum(
                self.mismatch_max, mismatch[m.mask].max().double().cpu()
            )

    def reduce(self, ranks: Ranks) -> dict[str, float]:
        """Means over all tokens of all ranks: types.UpdateResult's metrics."""
        sums = dict(zip(self.NAMES, ranks.all_reduce_sum(self.sums).tolist(), strict=True))
        tokens = sums.pop("tokens")
        means = {name: value / tokens for name, value in sums.items()}
        if not self.exact_entropy:
            del means["entropy_exact"]
        excess, squared = means.pop("is_excess"), means.pop("is_excess_squared")
        return {
            "loss": self.loss / self.updates,
            "grad_norm": self.grad_norm / self.updates,
            "mismatch_max": float(ranks.all_reduce_max(self.mismatch_max)),
            **means,
            **weight_metrics(excess, squared),
        }


def weight_metrics(excess: float, squared: float) -> dict[str, float]:
    """Mean, standard deviation, effective share of the tokens (Kish) and chi² of importance
    weights rho, from the means of rho - 1 and of (rho - 1)²."""
    mean = 1.0 + excess
    mean_square = max(1.0 + 2.0 * excess + squared, SMALLEST_SQUARE)
    return {
        "is_weight_mean": mean,
        "is_weight_std": math.sqrt(max(0.0, squared - excess**2)),
        "is_ess": mean**2 / mean_square,
        "is_chi2": mean_square - 1.0,
    }
