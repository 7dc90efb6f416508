"""Advantages from rewards. Legend: B sequences. Runs on the driver over the whole kept batch."""

import math
from collections.abc import Sequence

VARIANCE_FLOOR = 1e-8


def reinforce_pp_baseline(
    *, rewards: Sequence[float], groups: Sequence[int], num_tokens: Sequence[int]
) -> list[float]:
    """REINFORCE++-baseline (arXiv 2501.03262): reward minus its group's mean, then normalised by
    mean and standard deviation over all *tokens* of the batch (a sequence counts once per token).

    All arguments and the result have length B; `groups` names each sequence's group, `num_tokens`
    counts the tokens the model wrote. Zero variance gives zeros. Raises ValueError for a non-finite
    reward, an empty batch, or a sequence without tokens.
    """
    _check(rewards, num_tokens)
    means = _group_means(rewards, groups)
    centred = [reward - means[group] for reward, group in zip(rewards, groups, strict=True)]
    total = sum(num_tokens)
    mean = _weighted(centred, num_tokens) / total
    variance = _weighted([(c - mean) ** 2 for c in centred], num_tokens) / total
    scale = 1.0 / math.sqrt(max(variance, VARIANCE_FLOOR))
    return [(c - mean) * scale for c in centred]


def _check(rewards: Sequence[float], num_tokens: Sequence[int]) -> None:
    if not rewards:
        raise ValueError("the batch has no sequences")
    for index, (reward, tokens) in enumerate(zip(rewards, num_tokens, strict=True)):
        if not math.isfinite(reward):
            raise ValueError(f"reward of sequence {index} is {reward}, must be finite")
        if tokens < 1:
            raise ValueError(f"sequence {index} has {tokens} tokens, must have at least 1")


def _group_means(rewards: Sequence[float], groups: Sequence[int]) -> dict[int, float]:
    members: dict[int, list[float]] = {}
    for reward, group in zip(rewards, groups, strict=True):
        members.setdefault(group, []).append(reward)
    return {group: math.fsum(values) / len(values) for group, values in members.items()}


def _weighted(values: Sequence[float], weights: Sequence[int]) -> float:
    return math.fsum(v * w for v, w in zip(values, weights, strict=True))
