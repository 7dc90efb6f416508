"""What health signals are made of: each step's numbers and a bounded history of them. Pure."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import fmean, median

from prorl_trainer.algo.signals import BOUNDS

Values = Mapping[str, float]

RECENT = ("grad_norm", "clip_fraction", "response_tokens_mean", "reward_mean")
"""Metrics whose last values are remembered, besides those of each domain."""
WINDOW = 50
"""Steps that are remembered."""
ENTROPY_STEPS = 100
"""Steps from the first on whose mean entropy is compared with."""
SUSTAINED = 20
SPIKE_STEPS = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class History:
    """What is remembered; lists are oldest first and at most WINDOW long."""

    recent: Mapping[str, list[float]] = field(default_factory=dict)
    entropy_start: list[float] = field(default_factory=list)
    """Sum and number of the first ENTROPY_STEPS values; empty before the first."""
    non_finite: int = 0
    """Steps in a row that were not finite."""


def remember(history: History, values: Values) -> History:
    """The history with one more step."""
    names = [*RECENT, *(n for n in sorted(values) if n.startswith("reward_mean_"))]
    recent = dict(history.recent)
    for name in names:
        if math.isfinite(values.get(name, math.nan)):
            recent[name] = [*recent.get(name, []), values[name]][-WINDOW:]
    skipped = values.get("non_finite", 0.0) > 0
    return History(
        recent=recent,
        entropy_start=_entropy_start(history.entropy_start, values),
        non_finite=history.non_finite + 1 if skipped else 0,
    )


def _entropy_start(before: list[float], values: Values) -> list[float]:
    total, number = before or (0.0, 0.0)
    if not math.isfinite(values.get("entropy", math.nan)) or number >= ENTROPY_STEPS:
        return before
    return [total + values["entropy"], number + 1]


def step_signals(history: History, values: Values) -> dict[str, float]:
    """Signals of a step by name; `history` already knows the step. What cannot be told yet is left
    out."""
    plain = {b.signal: values[b.signal] for b in BOUNDS if b.signal in values}
    found = {
        "non_finite_steps": float(history.non_finite),
        "entropy_ratio": _entropy_ratio(history, values),
        "clip_fraction_sustained": _sustained(history.recent.get("clip_fraction", [])),
        "grad_norm_ratio": _over_median(history.recent.get("grad_norm", [])),
        "length_rise": rise(history.recent.get("response_tokens_mean", [])),
        "domain_drop": _domain_drop(history.recent),
        "is_weight_off": _off_one(values.get("is_weight_mean")),
    }
    return plain | {name: value for name, value in found.items() if value is not None}


def _entropy_ratio(history: History, values: Values) -> float | None:
    if "entropy" not in values or not history.entropy_start:
        return None
    total, number = history.entropy_start
    full = number >= ENTROPY_STEPS and total > 0
    return values["entropy"] * number / total if full else None


def _sustained(series: list[float]) -> float | None:
    """The least of the last values: what all of them are above."""
    return min(series[-SUSTAINED:]) if len(series) >= SUSTAINED else None


def _over_median(series: list[float]) -> float | None:
    """The last value over the median of those before it."""
    before = series[:-1]
    middle = median(before) if len(before) >= SUSTAINED else 0.0
    return series[-1] / middle if middle > 0 else None


def kl_ratio(kl: list[float], *, floor: float) -> float | None:
    """Least of the last values over the median of those before; kl is that since the last reset."""
    before, latest = kl[:-SPIKE_STEPS], kl[-SPIKE_STEPS:]
    if len(before) < SUSTAINED:
        return None
    return min(latest) / max(median(before), floor)


def rise(series: list[float]) -> float | None:
    """Growth of the mean of 5 steps over that of the 5 steps 20 steps before, 0.5 for +50 %."""
    if len(series) < SUSTAINED + SPIKE_STEPS:
        return None
    now, then = series[-SPIKE_STEPS:], series[-SUSTAINED - SPIKE_STEPS : -SUSTAINED]
    return fmean(now) / fmean(then) - 1.0 if fmean(then) > 0 else None


def _domain_drop(recent: Mapping[str, list[float]]) -> float | None:
    """The greatest relative fall of a domain's reward while the reward of all rises."""
    total = rise(recent.get("reward_mean", []))
    rises = [rise(v) for name, v in recent.items() if name.startswith("reward_mean_")]
    known = [value for value in rises if value is not None]
    if total is None or not known:
        return None
    return max(0.0, -min(known)) if total > 0 else 0.0


def _off_one(mean: float | None) -> float | None:
    """How many times too large or too small."""
    return None if mean is None or mean <= 0 else max(mean, 1.0 / mean)


def pass_at_k_drop(first: Values, last: Values) -> float | None:
    """How far the pass@k with the largest k has fallen while pass@1 has risen; 0 otherwise."""
    ks = [int(n.removeprefix("pass_at_")) for n in last if n in first]
    if not ks or max(ks) == 1 or "pass_at_1" not in first:
        return None
    widest = f"pass_at_{max(ks)}"
    risen = last["pass_at_1"] > first["pass_at_1"]
    return max(0.0, first[widest] - last[widest]) if risen else 0.0
