"""All estimators of the advantage: by hand, against textbook forms, and what may not matter."""

import statistics
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prorl_api.spec_algorithm import AdvantageSpec, Estimator, Normalisation
from prorl_trainer.algo.advantages import group_centred, grpo, rloo
from prorl_trainer.batch import estimate

REWARDS = [1.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0]
GROUPS = [0, 0, 0, 0, 1, 1, 1, 1]
TOKENS = [2, 4, 1, 3, 5, 2, 2, 1]

SPECS = {
    "baseline-token": AdvantageSpec(),
    "baseline-sequence": AdvantageSpec(normalisation=Normalisation.SEQUENCE),
    "plus-plus-token": AdvantageSpec(estimator=Estimator.REINFORCE_PP),
    "plus-plus-sequence": AdvantageSpec(
        estimator=Estimator.REINFORCE_PP, normalisation=Normalisation.SEQUENCE
    ),
    "grpo": AdvantageSpec(estimator=Estimator.GRPO),
    "rloo": AdvantageSpec(estimator=Estimator.RLOO),
    "dr-grpo": AdvantageSpec(estimator=Estimator.DR_GRPO),
}
BY_HAND = {
    "baseline-token": [0.649189, 0.649189, -1.348316, -1.348316, 1.148565] + [-0.848939] * 3,
    "baseline-sequence": [1.069045, 1.069045, -1.069045, -1.069045, 1.603567] + [-0.534522] * 3,
    # 11 of 20 tokens belong to a reward of 1: mean 0.55, variance 0.2475.
    "plus-plus-token": [0.904534, 0.904534, -1.105542, -1.105542, 0.904534] + [-1.105542] * 3,
    # 3 of 8 sequences: mean 0.375, variance 0.234375.
    "plus-plus-sequence": [1.290994, 1.290994, -0.774597, -0.774597, 1.290994] + [-0.774597] * 3,
    "grpo": [0.866025, 0.866025, -0.866025, -0.866025, 1.5, -0.5, -0.5, -0.5],
    "rloo": [2 / 3, 2 / 3, -2 / 3, -2 / 3, 1.0, -1 / 3, -1 / 3, -1 / 3],
    "dr-grpo": [0.5, 0.5, -0.5, -0.5, 0.75, -0.25, -0.25, -0.25],
}
SCALE_FREE = [name for name in SPECS if name not in ("rloo", "dr-grpo")]
BY_GROUP = ["grpo", "rloo", "dr-grpo"]

of = partial(estimate, groups=GROUPS, num_tokens=TOKENS)
names = partial(pytest.mark.parametrize, "name")


@names(list(SPECS))
def test_an_estimator_gives_what_is_computed_by_hand(name: str) -> None:
    assert of(SPECS[name], rewards=REWARDS) == pytest.approx(BY_HAND[name], abs=1e-6)


@names(list(SPECS))
@given(shift=st.floats(-100, 100))
def test_a_constant_added_to_all_rewards_changes_no_estimator(name: str, shift: float) -> None:
    moved = of(SPECS[name], rewards=[r + shift for r in REWARDS])
    assert moved == pytest.approx(BY_HAND[name], abs=1e-5)


@names(SCALE_FREE)
@given(scale=st.floats(0.1, 100))
def test_a_scale_of_the_rewards_changes_no_normalised_advantage(name: str, scale: float) -> None:
    moved = of(SPECS[name], rewards=[r * scale for r in REWARDS])
    assert moved == pytest.approx(BY_HAND[name], abs=1e-5)


@names(["rloo", "dr-grpo"])
@given(scale=st.floats(0.1, 100))
def test_other_advantages_grow_with_the_rewards(name: str, scale: float) -> None:
    moved = of(SPECS[name], rewards=[r * scale for r in REWARDS])
    assert moved == pytest.approx([a * scale for a in BY_HAND[name]], rel=1e-5, abs=1e-6)


GROUP = st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=2, max_size=8)


def textbook_grpo(rewards: list[float], i: int) -> float:
    std = statistics.stdev(rewards)
    return (rewards[i] - statistics.fmean(rewards)) / std if std else 0.0


def textbook_rloo(rewards: list[float], i: int) -> float:
    return rewards[i] - statistics.fmean(rewards[:i] + rewards[i + 1 :])


def textbook_dr_grpo(rewards: list[float], i: int) -> float:
    return rewards[i] - statistics.fmean(rewards)


@pytest.mark.parametrize(
    ("estimator", "textbook"),
    [(grpo, textbook_grpo), (rloo, textbook_rloo), (group_centred, textbook_dr_grpo)],
    ids=BY_GROUP,
)
@given(batch=st.lists(GROUP, min_size=1, max_size=4))
def test_a_group_estimator_equals_its_textbook_form_group_by_group(
    estimator: Callable[..., list[float]],
    textbook: Callable[[list[float], int], float],
    batch: list[list[float]],
) -> None:
    """That groups do not see each other also makes parts of a batch add up to the whole."""
    groups = [g for g, rewards in enumerate(batch) for _ in rewards]
    found = estimator(rewards=[r for rewards in batch for r in rewards], groups=groups)
    expected = [textbook(rewards, i) for rewards in batch for i in range(len(rewards))]
    assert found == pytest.approx(expected, abs=1e-9)


@names([*BY_GROUP, "baseline-sequence", "plus-plus-sequence"])
def test_lengths_matter_only_where_tokens_are_counted(name: str) -> None:
    found = estimate(SPECS[name], rewards=REWARDS, groups=GROUPS, num_tokens=[7] * 8)
    assert found == pytest.approx(BY_HAND[name], abs=1e-6)


@names(list(SPECS))
def test_equal_rewards_give_zeros(name: str) -> None:
    assert of(SPECS[name], rewards=[0.1] * 8) == pytest.approx([0.0] * 8, abs=1e-9)


@names(BY_GROUP)
def test_a_group_of_one_judged_sample_teaches_nothing(name: str) -> None:
    found = estimate(SPECS[name], rewards=[1.0], groups=[0], num_tokens=[3])
    assert found == [0.0]


@names(list(SPECS))
def test_a_reward_that_is_not_finite_is_refused_by_name(name: str) -> None:
    with pytest.raises(ValueError, match="reward of sequence 1 is nan"):
        estimate(SPECS[name], rewards=[1.0, float("nan")], groups=[0, 0], num_tokens=[1, 1])
