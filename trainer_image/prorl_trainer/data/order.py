"""The job's order of prompts: a pure function of (seed, ordinal); resuming needs one number.

Ordinals are cut into blocks. Within a block every set has its exact share, in a shuffled order;
within an epoch of a set every row comes once, in a shuffled order.
"""

import random
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate

BLOCK = 256


class Order:
    """Places of rows for sets of the given sizes and weights (both of equal length)."""

    def __init__(self, seed: int, sizes: Sequence[int], weights: Sequence[float]) -> None:
        self._seed = seed
        self._sizes = tuple(sizes)
        self._places = shares(weights)
        self._block = lru_cache(maxsize=4)(self._make_block)
        self._epoch = lru_cache(maxsize=2 * len(sizes))(self._make_epoch)

    @property
    def shares(self) -> tuple[float, ...]:
        """Share of each set in every block; they sum to 1."""
        return tuple(places / BLOCK for places in self._places)

    def place(self, ordinal: int) -> tuple[int, int]:
        """(set, row) at this ordinal, counted from 0."""
        block, offset = divmod(ordinal, BLOCK)
        index, rank = self._block(block)[offset]
        epoch, position = divmod(block * self._places[index] + rank, self._sizes[index])
        return index, self._epoch(index, epoch)[position]

    def _make_block(self, block: int) -> tuple[tuple[int, int], ...]:
        order = [i for i, share in enumerate(self._places) for _ in range(share)]
        random.Random(f"{self._seed}/block/{block}").shuffle(order)
        seen = [0] * len(self._places)
        places = []
        for index in order:
            places.append((index, seen[index]))
            seen[index] += 1
        return tuple(places)

    def _make_epoch(self, index: int, epoch: int) -> tuple[int, ...]:
        rows = list(range(self._sizes[index]))
        random.Random(f"{self._seed}/set/{index}/epoch/{epoch}").shuffle(rows)
        return tuple(rows)


def shares(weights: Sequence[float]) -> tuple[int, ...]:
    """Places of each set in a block of BLOCK; at least one each where there is room."""
    total = sum(weights)
    bounds = [round(BLOCK * c / total) for c in accumulate(weights)]
    places = [b - a for a, b in zip([0, *bounds], bounds, strict=False)]
    while 0 in places and max(places) > 1:
        places[places.index(max(places))] -= 1
        places[places.index(0)] = 1
    return tuple(places)
