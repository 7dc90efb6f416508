"""When the reference is replaced: pure rules over finished steps and two bounded histories.

A history is what was measured since the last reset, oldest first. Sources: docs/recipe.md.
"""

from collections.abc import Sequence
from statistics import median

INTERVAL = "Interval"
"""Reason of a reset that was due by referenceReset.everySteps."""
KL_SPIKE = "KlSpike"
STALL = "Stall"
REQUESTED = "Requested"
"""Reason of a reset that somebody has asked for."""

KL_FLOOR = 1e-6
"""Nats per token; a median below is rounding, and no multiple of it means anything."""

MIN_HISTORY = 25
"""Values of KL that are kept at least: the health signal kl_ratio needs as many."""

Evidence = dict[str, float]
"""The numbers that mattered, by metric name."""


def next_interval_step(*, step: int, last_reset_step: int, every_steps: int) -> int | None:
    """The first step from `step` on after which a reset is due by the interval; None: never.
    last_reset_step is 0 before the first reset."""
    return max(step, last_reset_step + every_steps) if every_steps > 0 else None


def kl_spike(
    kl: Sequence[float], *, factor: float, window: int, consecutive: int, absolute: float | None
) -> Evidence | None:
    """The last `consecutive` values are all above `absolute`, or above `factor` times the median of
    the `window` values before them. kl: k2 in nats per token, one per step."""
    latest = kl[-consecutive:]
    if len(latest) < consecutive:
        return None
    if absolute is not None and min(latest) > absolute:
        return {"kl": latest[-1], "kl_limit": absolute}
    before = kl[-(window + consecutive) : -consecutive]
    if len(before) < window:
        return None
    middle = median(before)
    limit = factor * max(middle, KL_FLOOR)
    return {"kl": latest[-1], "kl_limit": limit} if min(latest) > limit else None


def stall(accuracies: Sequence[float], *, evals: int, min_delta: float) -> Evidence | None:
    """The best of the last `evals` is not above the best before them, by `min_delta` at least."""
    before, latest = accuracies[:-evals], accuracies[-evals:]
    if not before:
        return None
    gain = max(latest) - max(before)
    if gain > 0 and gain >= min_delta:
        return None
    return {"accuracy": latest[-1], "accuracy_best": max(before)}


def push_kl(kl: Sequence[float], value: float, *, window: int, consecutive: int) -> list[float]:
    """The history with one more value: as much as kl_spike and the signal kl_ratio look at."""
    return [*kl, value][-max(window + consecutive, MIN_HISTORY) :]


def push_accuracy(accuracies: Sequence[float], value: float, *, evals: int) -> list[float]:
    """The history with one more value; what is older than the last `evals` is one value, the best
    of them."""
    grown = [*accuracies, value]
    return [max(grown[:-evals]), *grown[-evals:]] if len(grown) > evals else grown
