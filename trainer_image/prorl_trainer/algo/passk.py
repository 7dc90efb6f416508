"""pass@k: the probability that at least one of k samples is correct."""

from collections.abc import Sequence
from math import comb

CORRECT = 1 - 1e-6
"""A score from here on is a correct answer; a partial score below is not."""


def pass_at_k(*, num_samples: int, num_correct: int, k: int) -> float:
    """1 - C(n - c, k) / C(n, k), unbiased from n samples of which c are correct (arXiv 2107.03374).
    Raises ValueError for a k that is not within 1 and n."""
    if not 1 <= k <= num_samples:
        raise ValueError(f"k is {k}, must be from 1 to the {num_samples} samples")
    return 1.0 - comb(num_samples - num_correct, k) / comb(num_samples, k)


def mean_pass_at_k(groups: Sequence[Sequence[float]], k: int) -> float | None:
    """Mean over the groups of scores; one with fewer than k scores cannot tell and is left out.
    None where none is left."""
    found = [
        pass_at_k(num_samples=len(g), num_correct=sum(s >= CORRECT for s in g), k=k)
        for g in groups
        if len(g) >= k
    ]
    return sum(found) / len(found) if found else None
