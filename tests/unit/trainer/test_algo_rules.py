"""Dynamic sampling and learning-rate schedule: pure rules over few numbers."""

import pytest
from prorl_trainer.algo.dynamic_sampling import Refill, has_signal, plan_refill
from prorl_trainer.algo.schedule import learning_rate


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        pytest.param([0.0, 0.0, 0.0], False, id="all-wrong"),
        pytest.param([1.0, 1.0, 1.0], False, id="all-correct"),
        pytest.param([0.5, 0.5, 0.5, 0.5], False, id="equal-and-continuous"),
        pytest.param([0.0, 1.0, 0.0], True, id="mixed"),
        pytest.param([0.5, 0.5 + 1e-7], False, id="rounding-noise"),
        pytest.param([0.5, 0.51], True, id="continuous"),
        pytest.param([1.0], False, id="one-judged"),
        pytest.param([], False, id="none-judged"),
    ],
)
def test_a_group_has_a_signal_iff_its_scores_differ(scores: list[float], expected: bool) -> None:
    assert has_signal(scores) is expected


@pytest.mark.parametrize(
    ("kept", "rounds", "expected"),
    [
        pytest.param(8, 1, Refill.ENOUGH, id="full-at-once"),
        pytest.param(8, 10, Refill.ENOUGH, id="full-in-the-last-round"),
        pytest.param(7, 9, Refill.DRAW, id="a-round-is-left"),
        pytest.param(0, 1, Refill.DRAW, id="nothing-yet"),
        pytest.param(4, 10, Refill.TRAIN_SMALLER, id="exactly-half"),
        pytest.param(3, 10, Refill.NO_SIGNAL, id="under-half"),
    ],
)
def test_what_follows_a_round(kept: int, rounds: int, expected: Refill) -> None:
    plan = plan_refill(num_kept=kept, num_wanted=8, rounds_done=rounds, max_rounds=10)
    assert plan is expected


def test_warm_up_is_linear_starts_above_zero_and_ends_at_the_peak() -> None:
    rates = [learning_rate(step=s, peak=1.0, warmup_steps=4) for s in range(7)]
    assert rates == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.0, 1.0])


def test_without_warm_up_the_rate_is_constant() -> None:
    assert {learning_rate(step=s, peak=3e-6, warmup_steps=0) for s in range(5)} == {3e-6}


def test_a_cleared_optimizer_is_warmed_up_again_and_the_schedule_goes_on() -> None:
    def rate(step: int, cleared: int | None) -> float:
        return learning_rate(
            step=step, peak=1.0, warmup_steps=4, cleared_step=cleared, rewarm_steps=3
        )

    assert [rate(s, 20) for s in range(20, 25)] == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0])
    assert rate(19, None) == 1.0, "nothing was cleared yet"
    assert rate(2, 2) == pytest.approx(0.6 * 0.25), "a reset during the warm-up does not skip it"
