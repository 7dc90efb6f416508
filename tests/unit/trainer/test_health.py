"""Health signals: worked values, levels at their bounds, a bounded history, a table in the docs."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import generate_latest
from prorl_api.job import ProRLJobSpec
from prorl_trainer import health
from prorl_trainer.algo.health import (
    ENTROPY_STEPS,
    WINDOW,
    History,
    kl_ratio,
    pass_at_k_drop,
    remember,
    rise,
    step_signals,
)
from prorl_trainer.algo.signals import BOUNDS, Level
from prorl_trainer.checkpoint.state import ReferenceState, RunState
from prorl_trainer.observe.metrics import Metrics

SET: dict[str, Any] = {"name": "sums", "domain": "math", "uri": "gym://reasoning-gym/chain_sum"}
STATE = RunState(job_uid="u", job_name="j", spec_hash="h")
DOCS = Path(__file__).parents[3] / "docs" / "health.md"


def make_spec(**reset: Any) -> ProRLJobSpec:
    return ProRLJobSpec.model_validate(
        {"model": {"uri": "tiny://llama"}, "data": {"train": [SET]}, "referenceReset": reset}
    )


def remembered(*steps: dict[str, float]) -> History:
    history = History()
    for values in steps:
        history = remember(history, values)
    return history


def signal_of(*steps: dict[str, float]) -> dict[str, float]:
    return step_signals(remembered(*steps), steps[-1])


@pytest.mark.parametrize("bound", BOUNDS, ids=lambda b: b.signal)
def test_at_its_bounds_a_signal_is_within_them(bound: Any) -> None:
    step = -1e-9 if bound.below else 1e-9
    for value, level in ((bound.warn, Level.WARN), (bound.alert, Level.ALERT)):
        if value is not None:
            assert bound.level(value) < level
            assert bound.level(value + step) is level


def test_entropy_is_compared_with_the_mean_of_the_first_100_steps() -> None:
    first = [{"entropy": 1.0}, {"entropy": 3.0}] * (ENTROPY_STEPS // 2)
    assert signal_of(*first, {"entropy": 0.5})["entropy_ratio"] == pytest.approx(0.25)
    assert "entropy_ratio" not in signal_of(*first[1:])


def test_clipping_counts_when_each_of_20_steps_had_it() -> None:
    high = [{"clip_fraction": 0.3}] * 19
    assert "clip_fraction_sustained" not in signal_of(*high)
    assert signal_of(*high, {"clip_fraction": 0.25})["clip_fraction_sustained"] == 0.25
    assert signal_of({"clip_fraction": 0.9}, *high, {"clip_fraction": 0.0})[
        "clip_fraction_sustained"
    ] == 0.0  # fmt: skip


def test_the_gradient_norm_is_compared_with_the_median_before_it() -> None:
    usual = [{"grad_norm": 2.0}] * 20
    assert signal_of(*usual, {"grad_norm": 30.0})["grad_norm_ratio"] == 15.0
    assert "grad_norm_ratio" not in signal_of(*usual)


def test_a_rise_is_that_of_5_steps_over_5_steps_20_steps_before() -> None:
    assert rise([1.0] * 5 + [9.0] * 15 + [1.5] * 5) == pytest.approx(0.5)
    assert rise([1.0] * 24) is None
    assert rise([0.0] * 25) is None


def test_a_domain_that_falls_while_all_rise_is_interference() -> None:
    def step(total: float, math: float, logic: float) -> dict[str, float]:
        return {"reward_mean": total, "reward_mean_math": math, "reward_mean_logic": logic}

    before = [step(0.4, 0.5, 0.3)] * 20
    assert signal_of(*before, *[step(0.5, 0.35, 0.8)] * 5)["domain_drop"] == pytest.approx(0.3)
    assert signal_of(*before, *[step(0.5, 0.6, 0.4)] * 5)["domain_drop"] == 0.0
    assert signal_of(*before, *[step(0.3, 0.35, 0.2)] * 5)["domain_drop"] == 0.0, "all fall"


def test_kl_is_compared_with_its_median_by_the_least_of_5_steps() -> None:
    assert kl_ratio([1.0] * 20 + [4.0, 5.0, 4.0, 9.0, 4.0], floor=1e-6) == 4.0
    assert kl_ratio([1.0] * 24, floor=1e-6) is None
    assert kl_ratio([0.0] * 20 + [1e-7] * 5, floor=1e-6) == pytest.approx(0.1)


def test_skipped_updates_are_counted_in_a_row() -> None:
    skipped, fine = {"non_finite": 1.0}, {"non_finite": 0.0}
    assert signal_of(skipped, skipped, skipped)["non_finite_steps"] == 3.0
    assert signal_of(skipped, skipped, fine)["non_finite_steps"] == 0.0


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        pytest.param((0.3, 0.8), (0.4, 0.7), 0.1, id="narrows"),
        pytest.param((0.3, 0.8), (0.4, 0.9), 0.0, id="both-rise"),
        pytest.param((0.4, 0.8), (0.3, 0.7), 0.0, id="both-fall"),
    ],
)
def test_the_policy_narrows_when_pass_at_k_falls_and_pass_at_1_rises(
    first: tuple[float, float], last: tuple[float, float], expected: float
) -> None:
    a, b = ({"pass_at_1": one, "pass_at_8": eight} for one, eight in (first, last))
    assert pass_at_k_drop(a, b) == pytest.approx(expected)
    assert pass_at_k_drop({"pass_at_1": 0.3}, {"pass_at_1": 0.4}) is None


def test_the_gap_since_a_reset_counts_only_where_there_are_resets() -> None:
    state = STATE.model_copy(update={"step": 900, "reference": ReferenceState(last_reset_step=300)})
    values = health.step_health(make_spec(), state, {})
    assert (values["steps_since_reset"], values["health_steps_since_reset"]) == (600.0, 1.0)
    off = {"enabled": False}
    never = make_spec(everySteps=0, klSpike=off, stall=off)
    assert "steps_since_reset" not in health.step_health(never, state, {})


NUMBERS = st.floats(0, 10) | st.sampled_from([float("inf"), float("nan")])
METRICS = st.dictionaries(
    st.sampled_from(["grad_norm", "entropy", "reward_mean", "reward_mean_math", "clip_fraction"]),
    NUMBERS,
)


@given(st.lists(METRICS, max_size=WINDOW + 5))
def test_the_history_stays_bounded_and_survives_a_checkpoint(steps: list[Any]) -> None:
    state = STATE
    for values in steps:
        state = health.after_step(state, values)
    assert all(len(v) <= WINDOW for v in state.health.recent.values())
    saved = state.model_dump_json(by_alias=True)
    assert RunState.model_validate_json(saved) == state


def test_a_signal_has_a_value_and_a_level_in_prometheus() -> None:
    metrics = Metrics()
    metrics.record(health.with_levels({"truncated_ratio": 0.3, "kl_ratio": 2.0}))
    metrics.record(
        {"pass_at_8": 0.5, "pass_at_8_sums": 0.4, "reward_std_math": 0.2, "sync_seconds": 1.0,
         "shaped_reward_mean_math": 0.7}
    )  # fmt: skip
    text = generate_latest(metrics.registry).decode()
    for line in (
        'prorl_health_level{signal="truncated_ratio"} 1.0',
        'prorl_health_value{signal="truncated_ratio"} 0.3',
        'prorl_health_level{signal="kl_ratio"} 0.0',
        "prorl_truncated_ratio 0.3",
        'prorl_pass_at_k{k="8"} 0.5',
        'prorl_domain_reward_std{domain="math"} 0.2',
        'prorl_domain_shaped_reward_mean{domain="math"} 0.7',
        'prorl_phase_seconds{phase="sync"} 1.0',
    ):
        assert f"\n{line}\n" in text


def test_the_table_in_the_docs_is_that_of_the_code() -> None:
    def number(value: float | None) -> str:
        return "" if value is None else f"{value:g}"

    rows = [
        f"| `{b.signal}` | {'below' if b.below else 'above'} | {number(b.warn)} | "
        f"{number(b.alert)} | {b.source} | {b.action} |"
        for b in BOUNDS
    ]
    text = DOCS.read_text()
    missing = [row for row in rows if row not in text]
    assert missing == [], "\n".join(missing)
