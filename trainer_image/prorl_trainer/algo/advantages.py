"""Advantages from rewards, on the driver over the whole kept batch.

Legend: B sequences. Every list has length B; `groups` names each sequence's group, `weights` says
how much a sequence counts in the statistics of the batch: its number of tokens, or 1. All functions
raise ValueError for an empty batch and for a reward that is not finite.
"""

import math
from collections.abc import Sequence

VARIANCE_FLOOR = 1e-8
"""Below it the batch or the group has no signal: advantages become 0, not rounding noise."""


def reinforce_pp_baseline(
    *, rewards: Sequence[float], groups: Sequence[int], weights: Sequence[int]
) -> list[float]:
    """REINFORCE++-baseline (arXiv 2501.03262): reward minus its group's mean, then normalised over
    the batch. Zero variance gives zeros."""
    return batch_normalised(group_centred(rewards=rewards, groups=groups), weights)


def reinforce_pp(*, rewards: Sequence[float], weights: Sequence[int]) -> list[float]:
    """REINFORCE++ (arXiv 2501.03262) without KL in the reward: normalised over the batch only."""
    return batch_normalised(rewards, weights)


def group_centred(*, rewards: Sequence[float], groups: Sequence[int]) -> list[float]:
    """Reward minus its group's mean; alone it is Dr. GRPO's advantage (arXiv 2503.20783)."""
    _check(rewards)
    means = {g: math.fsum(values) / len(values) for g, values in _members(rewards, groups).items()}
    return [reward - means[group] for reward, group in zip(rewards, groups, strict=True)]


def grpo(*, rewards: Sequence[float], groups: Sequence[int]) -> list[float]:
    """GRPO (arXiv 2402.03300): group_centred over the group's standard deviation, with Bessel's
    correction as in verl and TRL. A group without variance gives zeros."""
    centred = group_centred(rewards=rewards, groups=groups)
    scales = {g: _scale(values) for g, values in _members(centred, groups).items()}
    return [c * scales[group] for c, group in zip(centred, groups, strict=True)]


def rloo(*, rewards: Sequence[float], groups: Sequence[int]) -> list[float]:
    """RLOO (arXiv 2402.14740): reward minus the mean of the *other* rewards of its group, which is
    n / (n - 1) times group_centred; 0 for a group of one."""
    centred = group_centred(rewards=rewards, groups=groups)
    sizes = {g: len(values) for g, values in _members(rewards, groups).items()}
    factors = {g: n / (n - 1) if n > 1 else 0.0 for g, n in sizes.items()}
    return [c * factors[group] for c, group in zip(centred, groups, strict=True)]


def batch_normalised(values: Sequence[float], weights: Sequence[int]) -> list[float]:
    """(value - mean) / std over the batch, without Bessel's correction. Raises ValueError for a
    weight below 1: a sequence without tokens."""
    _check(values)
    if min(weights) < 1:
        index = next(i for i, weight in enumerate(weights) if weight < 1)
        raise ValueError(f"sequence {index} has {weights[index]} tokens, must have at least 1")
    total = sum(weights)
    mean = _weighted(values, weights) / total
    variance = _weighted([(v - mean) ** 2 for v in values], weights) / total
    scale = 1.0 / math.sqrt(max(variance, VARIANCE_FLOOR))
    return [(v - mean) * scale for v in values]


def _check(rewards: Sequence[float]) -> None:
    if not rewards:
        raise ValueError("the batch has no sequences")
    for index, reward in enumerate(rewards):
        if not math.isfinite(reward):
            raise ValueError(f"reward of sequence {index} is {reward}, must be finite")


def _members(values: Sequence[float], groups: Sequence[int]) -> dict[int, list[float]]:
    members: dict[int, list[float]] = {}
    for value, group in zip(values, groups, strict=True):
        members.setdefault(group, []).append(value)
    return members


def _scale(centred: Sequence[float]) -> float:
    """1 / standard deviation of a centred group; 0 where there is none."""
    square = math.fsum(c * c for c in centred) / max(1, len(centred) - 1)
    return 1.0 / math.sqrt(square) if square > VARIANCE_FLOOR else 0.0


def _weighted(values: Sequence[float], weights: Sequence[int]) -> float:
    return math.fsum(v * w for v, w in zip(values, weights, strict=True))
