"""prorl_trainer.data.order."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prorl_trainer.data.order import BLOCK, Order, shares

SIZES = st.lists(st.integers(1, 40), min_size=1, max_size=4)


@given(seed=st.integers(0, 2**31 - 1), sizes=SIZES, ordinals=st.lists(st.integers(0, 5000)))
def test_a_place_depends_on_seed_and_ordinal_alone(
    seed: int, sizes: list[int], ordinals: list[int]
) -> None:
    weights = [1.0] * len(sizes)
    used, fresh = Order(seed, sizes, weights), Order(seed, sizes, weights)
    for ordinal in range(600):
        used.place(ordinal)
    assert [used.place(o) for o in ordinals] == [fresh.place(o) for o in ordinals]


@given(seed=st.integers(0, 1000), size=st.integers(1, 300))
def test_every_row_comes_once_per_epoch(seed: int, size: int) -> None:
    order = Order(seed, [size], [1.0])
    for epoch in range(3):
        rows = [order.place(epoch * size + i)[1] for i in range(size)]
        assert sorted(rows) == list(range(size))


@given(weights=st.lists(st.floats(0.1, 10), min_size=1, max_size=6))
def test_every_block_has_the_shares_of_the_weights(weights: list[float]) -> None:
    order = Order(0, [7] * len(weights), weights)
    for block in (0, 3):
        drawn = Counter(order.place(block * BLOCK + i)[0] for i in range(BLOCK))
        assert tuple(drawn[i] for i in range(len(weights))) == shares(weights)
    for share, weight in zip(shares(weights), weights, strict=True):
        assert share == pytest.approx(BLOCK * weight / sum(weights), abs=1)


@pytest.mark.parametrize(
    ("weights", "expected"),
    [([1000, 1], (255, 1)), ([1, 1000], (1, 255)), ([1000, 1, 1, 500], (169, 1, 1, 85))],
)
def test_a_set_of_small_weight_is_drawn_now_and_then(
    weights: list[float], expected: tuple[int, ...]
) -> None:
    assert shares(weights) == expected


FIVE = [3.0, 2.0, 1.0, 1.0, 0.5]
"""Weights of math, code, stem, logic, instruction."""


@settings(max_examples=30)
@given(
    sizes=st.lists(st.sampled_from([1, 2, 50, 700]), min_size=5, max_size=5),
    block=st.integers(0, 10_000),
)
def test_five_domains_have_their_exact_shares_in_every_block_whatever_their_sizes(
    sizes: list[int], block: int
) -> None:
    order = Order(1, sizes, FIVE)
    drawn = Counter(order.place(block * BLOCK + i)[0] for i in range(BLOCK))
    assert tuple(drawn[i] for i in range(5)) == (102, 69, 34, 34, 17)
    assert order.shares == tuple(drawn[i] / BLOCK for i in range(5))


@settings(max_examples=30)
@given(seed=st.integers(0, 1000), sizes=SIZES, frontier=st.integers(0, 2000))
def test_a_run_that_resumes_at_its_frontier_sees_what_an_unbroken_one_sees(
    seed: int, sizes: list[int], frontier: int
) -> None:
    weights = [float(i + 1) for i in range(len(sizes))]
    unbroken = Order(seed, sizes, weights)
    whole = [unbroken.place(o) for o in range(frontier + 300)]
    resumed = Order(seed, sizes, weights)
    assert [resumed.place(o) for o in range(frontier, frontier + 300)] == whole[frontier:]


@pytest.mark.parametrize("weights", [[1.0, 1.0], [1.0, 9.0]])
def test_a_tiny_set_beside_a_huge_one_is_repeated_evenly_and_the_huge_one_is_not(
    weights: list[float],
) -> None:
    order = Order(0, [3, 100_000], weights)
    places = [order.place(o) for o in range(10 * BLOCK)]
    tiny = Counter(row for index, row in places if index == 0)
    huge = Counter(row for index, row in places if index == 1)
    assert set(tiny) == {0, 1, 2}
    assert max(tiny.values()) - min(tiny.values()) <= 1
    assert max(huge.values()) == 1


def test_another_seed_gives_another_order() -> None:
    places = [[Order(seed, [50], [1.0]).place(i) for i in range(50)] for seed in (0, 1)]
    assert places[0] != places[1]
