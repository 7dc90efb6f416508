"""Advantages against hand-computed values, invariances and bad input."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prorl_trainer.algo.advantages import reinforce_pp_baseline

REWARDS = [1.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0]
GROUPS = [0, 0, 0, 0, 1, 1, 1, 1]
TOKENS = [2, 4, 1, 3, 5, 2, 2, 1]
EXPECTED = [0.649189, 0.649189, -1.348316, -1.348316, 1.148565, -0.848939, -0.848939, -0.848939]

Row = tuple[float, int, int]
ROWS = st.lists(
    st.tuples(st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.integers(0, 3), st.integers(1, 20)),
    min_size=1,
    max_size=24,
)


def advantages(rows: list[Row]) -> list[float]:
    rewards, groups, tokens = zip(*rows, strict=True)
    return reinforce_pp_baseline(rewards=rewards, groups=groups, weights=tokens)


def test_two_groups_of_four_as_computed_by_hand() -> None:
    result = reinforce_pp_baseline(rewards=REWARDS, groups=GROUPS, weights=TOKENS)
    assert result == pytest.approx(EXPECTED, abs=1e-6)


@pytest.mark.parametrize("shift", [-1.0, 0.5, 100.0])
def test_a_constant_added_to_all_rewards_changes_nothing(shift: float) -> None:
    shifted = [reward + shift for reward in REWARDS]
    result = reinforce_pp_baseline(rewards=shifted, groups=GROUPS, weights=TOKENS)
    assert result == pytest.approx(EXPECTED, abs=1e-6)


def test_rewards_of_plus_and_minus_one_give_the_same_as_one_and_zero() -> None:
    recoded = [2 * reward - 1 for reward in REWARDS]
    result = reinforce_pp_baseline(rewards=recoded, groups=GROUPS, weights=TOKENS)
    assert result == pytest.approx(EXPECTED, abs=1e-6)


def test_rewards_without_variance_give_finite_zeros() -> None:
    result = reinforce_pp_baseline(rewards=[1.0] * 4, groups=[0, 0, 1, 1], weights=[1, 2, 3, 4])
    assert result == [0.0, 0.0, 0.0, 0.0]


@given(ROWS)
def test_mean_over_tokens_is_zero_and_variance_at_most_one(rows: list[Row]) -> None:
    result = advantages(rows)
    total = sum(tokens for _, _, tokens in rows)
    mean = sum(a * tokens for a, (_, _, tokens) in zip(result, rows, strict=True)) / total
    square = sum(a * a * tokens for a, (_, _, tokens) in zip(result, rows, strict=True)) / total
    assert mean == pytest.approx(0.0, abs=1e-9)
    assert square == pytest.approx(1.0, abs=1e-6) or square == pytest.approx(0.0, abs=1e-6)


@given(ROWS, st.randoms(use_true_random=False))
def test_order_of_the_batch_does_not_matter(rows: list[Row], rng: object) -> None:
    order = list(range(len(rows)))
    rng.shuffle(order)  # type: ignore[attr-defined]
    straight, permuted = advantages(rows), advantages([rows[i] for i in order])
    assert permuted == pytest.approx([straight[i] for i in order], abs=1e-9)


@given(ROWS)
def test_names_of_groups_do_not_matter(rows: list[Row]) -> None:
    renamed = [(reward, 7 - 2 * group, tokens) for reward, group, tokens in rows]
    assert advantages(renamed) == advantages(rows)


@pytest.mark.parametrize(
    ("rewards", "tokens", "message"),
    [
        pytest.param([], [], "no sequences", id="empty"),
        pytest.param([1.0, math.nan], [1, 1], "reward of sequence 1 is nan", id="nan"),
        pytest.param([math.inf, 1.0], [1, 1], "reward of sequence 0 is inf", id="inf"),
        pytest.param([1.0, 0.0], [1, 0], "sequence 1 has 0 tokens", id="no-tokens"),
    ],
)
def test_bad_input_is_refused_by_name(
    rewards: list[float], tokens: list[int], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        reinforce_pp_baseline(rewards=rewards, groups=[0] * len(rewards), weights=tokens)
