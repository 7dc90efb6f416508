"""Health signals and their bounds: one number each, against one that warns and one that alerts.

docs/health.md has the same table, with sources; a test keeps both alike.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum


class Level(IntEnum):
    """How bad it is; the number is what Prometheus gets."""

    OK = 0
    WARN = 1
    ALERT = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Bound:
    """What a signal must not be above (or below)."""

    signal: str
    warn: float | None = None
    alert: float | None = None
    below: bool = False
    source: str
    """Where the numbers are from; [D] marks our own."""
    action: str
    """What to do about it."""

    def level(self, value: float) -> Level:
        """At a bound is within it."""
        if self._is_beyond(value, self.alert):
            return Level.ALERT
        return Level.WARN if self._is_beyond(value, self.warn) else Level.OK

    def _is_beyond(self, value: float, bound: float | None) -> bool:
        if bound is None:
            return False
        return value < bound if self.below else value > bound


BOUNDS = (
    Bound(signal="non_finite_steps", warn=0, alert=2, source="[D]",
          action="Lower learningRate or maxGradNorm; spec.guard.nonFinite acts on it."),
    Bound(signal="kl_ratio", warn=3, source="[D]",
          action="Nothing at once: referenceReset.klSpike acts on it."),
    Bound(signal="entropy", alert=0.2, below=True, source="Skywork-OR1's target",
          action="Raise entropyCoefficient or clip.high; the policy no longer explores."),
    Bound(signal="entropy_ratio", warn=0.5, below=True, source="[D]; JustRL: 1.3 fell to 0.5",
          action="Look at length terms first: an overlong penalty alone does this."),
    Bound(signal="clip_fraction_sustained", warn=0.2, source="[D]",
          action="Lower learningRate or updatesPerStep."),
    Bound(signal="ppo_kl", warn=0.05, source="[D]",
          action="Lower learningRate or updatesPerStep."),
    Bound(signal="grad_norm_ratio", warn=10, source="[D]; prime-rl: spikes precede divergence",
          action="Watch loss and KL; roll back if they follow."),
    Bound(signal="truncated_ratio", warn=0.2, alert=0.4, source="[D]",
          action="Raise maxResponseTokens or set lengthPenalty.stopProperly."),
    Bound(signal="length_rise", warn=0.5, source="[D]; v1's third run",
          action="Read completions: repetition, no end-of-sequence token."),
    Bound(signal="kept_ratio", warn=0.25, below=True, source="[D]; BroRL: 0.41 at 3,000 steps",
          action="Data are exhausted: add harder data or raise samplesPerPrompt."),
    Bound(signal="rounds", warn=5, source="[D]; verl and NeMo-RL fail after 10",
          action="As for kept_ratio."),
    Bound(signal="domain_drop", warn=0.2, source="[D]",
          action="Domains interfere: raise the weight of the one that falls."),
    Bound(signal="evals_without_gain", warn=4, source="[D]",
          action="referenceReset.stall acts on it; else add data."),
    Bound(signal="pass_at_k_drop", warn=0.02, source="[D]; v1 section 4.2",
          action="The policy narrows: raise entropyCoefficient, temperature or kl.coefficient."),
    Bound(signal="token_mult_prob_error", warn=1.02, alert=1.05, source="NeMo-RL",
          action="Engine and trainer disagree: weight sync, precision, kernels."),
    Bound(signal="gen_kl", warn=1e-3, alert=1e-2, source="NeMo-RL (warn), [D] (alert)",
          action="As for token_mult_prob_error."),
    Bound(signal="prob_difference", warn=0.005, alert=0.01, source="verl FAQ",
          action="As for token_mult_prob_error: precision."),
    Bound(signal="mismatch", warn=0.036, alert=0.1, source="vime 64, slime's CI",
          action="As for token_mult_prob_error."),
    Bound(signal="is_weight_off", warn=2, source="verl: mean within 0.5 and 2",
          action="As for token_mult_prob_error; check mismatchCorrection."),
    Bound(signal="is_weight_std", warn=1, source="verl", action="As for is_weight_off."),
    Bound(signal="is_ess", warn=0.3, below=True, source="verl", action="As for is_weight_off."),
    Bound(signal="is_chi2", warn=1, source="verl", action="As for is_weight_off."),
    Bound(signal="is_oob_ratio", warn=0.01, source="[D]", action="As for is_weight_off."),
    Bound(signal="staleness_max", warn=1, source="rollout.maxStaleness is at most 1",
          action="Report it: such tokens should have been dropped."),
    Bound(signal="unjudged_ratio", warn=0.02, alert=0.05, source="prime-rl, [D]",
          action="Look at the verifier's pods and log."),
    Bound(signal="wait_for_batch", warn=0.5, source="[D]",
          action="Scale rollout.replicas, or set rollout.maxStaleness 1."),
    Bound(signal="verify_p99_share", warn=0.25, source="[D]",
          action="Scale verifier.replicas; look for answers that run into timeoutSeconds."),
    Bound(signal="steps_since_reset", warn=500, source="v2: every 200 to 500 steps",
          action="Set referenceReset.everySteps, unless no reset is wanted."),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Signal:
    """One signal of one step."""

    bound: Bound
    value: float
    level: Level


def judge(signals: Mapping[str, float]) -> list[Signal]:
    """Those that have a bound, in the order of the table."""
    return [
        Signal(bound=b, value=signals[b.signal], level=b.level(signals[b.signal]))
        for b in BOUNDS
        if b.signal in signals
    ]
