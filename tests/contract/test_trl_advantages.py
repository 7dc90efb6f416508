"""Advantages against TRL's. Where its definition is another one, the test says how they differ."""

import random
import statistics
from collections.abc import Callable, Sequence

import pytest
from learner_builders import build_model_dir, make_sequence
from prorl_api.spec_algorithm import AdvantageSpec, Estimator, Normalisation
from prorl_trainer.batch import estimate
from trl_reference import build_trainer

GROUPS = [[1.0, 1.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0], [0.25, 0.5, 1.0, 0.75], [0.5] * 4]
REWARDS = [r for group in GROUPS for r in group]
MEMBERS = [g for g, group in enumerate(GROUPS) for _ in group]
TRL_EPSILON = 1e-4
"""What TRL adds to a standard deviation; ours has a floor below which there is no signal."""


Trl = Callable[..., list[float]]


@pytest.fixture(scope="module")
def trl(tmp_path_factory: pytest.TempPathFactory) -> Trl:
    """TRL's advantages for a value of its scale_rewards."""
    directory = build_model_dir(tmp_path_factory.mktemp("model"))

    def advantages(scale: str, rewards: Sequence[float] = REWARDS) -> list[float]:
        rng = random.Random(0)
        rows = [make_sequence(rng, group=i // 4, reward=r) for i, r in enumerate(rewards)]
        trainer = build_trainer(directory, samples=4, batch=16, scale_rewards=scale)
        return trainer.rollout(rows)["advantages"].tolist()

    return advantages


def ours(estimator: Estimator, rewards: Sequence[float] = REWARDS) -> list[float]:
    spec = AdvantageSpec(estimator=estimator, normalisation=Normalisation.SEQUENCE)
    return estimate(spec, rewards=rewards, groups=MEMBERS, num_tokens=[1] * len(rewards))


def group_centred() -> list[float]:
    return [r - statistics.fmean(group) for group in GROUPS for r in group]


def test_dr_grpo_is_trl_without_scaling(trl: Trl) -> None:
    assert trl("none") == pytest.approx(ours(Estimator.DR_GRPO), abs=1e-6)


def test_grpo_is_trl_scaled_by_group_but_for_its_epsilon(trl: Trl) -> None:
    stds = [statistics.stdev(group) for group in GROUPS for _ in group]
    factors = [s / (s + TRL_EPSILON) for s in stds]
    expected = [a * f for a, f in zip(ours(Estimator.GRPO), factors, strict=True)]
    assert trl("group") == pytest.approx(expected, abs=1e-6)
    assert max(abs(a - b) for a, b in zip(trl("group"), ours(Estimator.GRPO), strict=True)) > 1e-5


def test_the_baseline_is_trl_scaled_by_batch_but_for_the_deviation_it_divides_by(
    trl: Trl,
) -> None:
    """TRL divides by the Bessel-corrected deviation of the raw rewards, REINFORCE++-baseline by the
    plain one of what is left after the group's mean: a · std(centred) = trl · (stdev(R) + eps)."""
    divisor = statistics.stdev(REWARDS) + TRL_EPSILON
    factor = statistics.pstdev(group_centred()) / divisor
    expected = [a * factor for a in ours(Estimator.REINFORCE_PP_BASELINE)]
    assert trl("batch") == pytest.approx(expected, abs=1e-6)


def test_both_agree_that_a_group_without_variance_teaches_nothing(trl: Trl) -> None:
    for scale, estimator in [("none", Estimator.DR_GRPO), ("group", Estimator.GRPO)]:
        assert trl(scale)[12:] == ours(estimator)[12:] == [0.0] * 4


def test_a_tiny_spread_is_full_signal_here_and_almost_none_in_trl(trl: Trl) -> None:
    """0.5 ± 1e-4: GRPO's ±0.87 is within our floor's reach of 1e-4, TRL halves it."""
    rewards = [0.5001, 0.5001, 0.4999, 0.4999, *REWARDS[4:]]
    std = statistics.stdev(rewards[:4])
    found = ours(Estimator.GRPO, rewards)[:4]
    assert found == pytest.approx([0.8660254, 0.8660254, -0.8660254, -0.8660254])
    factor = std / (std + TRL_EPSILON)
    assert factor == pytest.approx(0.536, abs=1e-3)
    assert trl("group", rewards)[:4] == pytest.approx([a * factor for a in found], rel=1e-3)
