"""When the reference is reset: worked cases of each rule; a resumed run decides the same."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prorl_api.job import ProRLJobSpec
from prorl_trainer.algo.reset import (
    INTERVAL,
    KL_SPIKE,
    MIN_HISTORY,
    STALL,
    kl_spike,
    push_accuracy,
    stall,
)
from prorl_trainer.checkpoint.state import LOG_ENTRIES, ReferenceState, RunState
from prorl_trainer.reference import (
    Decision,
    after_reset,
    after_step,
    best_step,
    decide_reset,
    next_interval_step,
)
from prorl_trainer.validation import after_validation

SET: dict[str, Any] = {"name": "sums", "domain": "math", "uri": "gym://reasoning-gym/chain_sum"}
STATE = RunState(job_uid="u", job_name="j", spec_hash="h")
OFF = {"enabled": False}


def make_spec(*, steps: int = 1000, **reset: Any) -> ProRLJobSpec:
    return ProRLJobSpec.model_validate(
        {
            "model": {"uri": "tiny://llama"},
            "data": {"train": [SET], "validation": {"sets": [SET | {"name": "held-out"}]}},
            "algorithm": {"steps": steps},
            "referenceReset": reset,
        }
    )


def at(step: int, **fields: Any) -> RunState:
    return STATE.model_copy(update={"step": step, **fields})


def reset_at(step: int) -> ReferenceState:
    return ReferenceState(version=1, last_reset_step=step, last_reason=KL_SPIKE)


def spiked(kl: list[float], **rule: Any) -> bool:
    defaults: dict[str, Any] = {"factor": 3.0, "window": 5, "consecutive": 2, "absolute": None}
    return kl_spike(kl, **(defaults | rule)) is not None


FLAT = [1.0, 1.0, 1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("kl", "expected"),
    [
        pytest.param([*FLAT, 3.1, 3.1], True, id="both-over"),
        pytest.param([*FLAT, 3.1, 3.0], False, id="at-the-limit-is-not-over"),
        pytest.param([*FLAT, 1.0, 9.9], False, id="one-step-is-no-spike"),
        pytest.param([*FLAT[1:], 3.1, 3.1], False, id="window-not-full"),
        pytest.param([1.0, 1.0, 1.0, 99.0, 99.0, 3.1, 3.1], True, id="median-not-mean"),
        pytest.param([0.0] * 5 + [1e-9, 1e-9], False, id="rounding-over-nothing"),
        pytest.param([0.0] * 5 + [1e-3, 1e-3], True, id="something-over-nothing"),
        pytest.param([], False, id="nothing-yet"),
    ],
)
def test_a_kl_spike_is_over_the_multiple_of_the_median_for_consecutive_steps(
    kl: list[float], expected: bool
) -> None:
    assert spiked(kl) is expected


def test_an_absolute_limit_needs_no_window_but_consecutive_steps() -> None:
    assert spiked([0.2, 0.3], absolute=0.1)
    assert not spiked([0.3], absolute=0.1)
    assert not spiked([0.3, 0.1], absolute=0.1)
    assert kl_spike([0.2, 0.3], factor=3, window=5, consecutive=2, absolute=0.1) == {
        "kl": 0.3, "kl_limit": 0.1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("accuracies", "min_delta", "expected"),
    [
        pytest.param([0.5, 0.5, 0.5], 0.01, True, id="flat"),
        pytest.param([0.5, 0.52, 0.4], 0.01, False, id="a-gain-among-the-last"),
        pytest.param([0.5, 0.505, 0.505], 0.01, True, id="too-small-a-gain"),
        pytest.param([0.6, 0.5, 0.59], 0.01, True, id="a-climb-back-is-no-gain"),
        pytest.param([0.5, 0.5], 0.01, False, id="too-few"),
        pytest.param([0.5, 0.5, 0.5], 0.0, True, id="flat-without-a-margin"),
        pytest.param([0.5, 0.5, 0.51], 0.0, False, id="any-gain-without-a-margin"),
    ],
)
def test_a_stall_is_no_gain_over_the_best_before(
    accuracies: list[float], min_delta: float, expected: bool
) -> None:
    assert (stall(accuracies, evals=2, min_delta=min_delta) is not None) is expected


@given(st.lists(st.floats(0, 1), max_size=30), st.integers(1, 6))
def test_the_bounded_history_stalls_when_the_whole_one_does(values: list[float], n: int) -> None:
    bounded: list[float] = []
    for i, value in enumerate(values):
        bounded = push_accuracy(bounded, value, evals=n)
        assert len(bounded) <= n + 1
        whole = values[: i + 1]
        assert stall(bounded, evals=n, min_delta=0.1) == stall(whole, evals=n, min_delta=0.1)


@pytest.mark.parametrize(
    ("step", "last", "every", "expected"),
    [
        pytest.param(0, None, 5, None, id="not-before-the-first-step"),
        pytest.param(4, None, 5, None, id="one-early"),
        pytest.param(5, None, 5, INTERVAL, id="due"),
        pytest.param(15, 10, 5, INTERVAL, id="due-again"),
        pytest.param(15, 12, 5, None, id="counted-from-a-reset-for-another-reason"),
        pytest.param(17, 12, 5, INTERVAL, id="due-after-it"),
        pytest.param(20, 15, 5, None, id="not-after-the-last-step"),
        pytest.param(5, None, 0, None, id="switched-off"),
        pytest.param(5, 5, 5, None, id="not-twice"),
    ],
)
def test_the_reference_is_reset_every_n_steps(
    step: int, last: int | None, every: int, expected: str | None
) -> None:
    spec = make_spec(steps=20, everySteps=every, klSpike=OFF, stall=OFF)
    state = at(step, reference=ReferenceState(last_reset_step=last))
    decision = decide_reset(spec, state)
    assert (decision and decision.reason) == expected


def test_the_interval_does_not_wait_for_the_gap_that_the_other_rules_keep() -> None:
    spec = make_spec(everySteps=15)
    assert spec.reference_reset.min_gap_steps == 200
    assert decide_reset(spec, at(15)) == Decision(reason=INTERVAL, values={})


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        pytest.param({"kl_history": [0.1] * 50 + [0.4] * 5}, KL_SPIKE, id="spike"),
        pytest.param({"accuracies": [0.5] * 6}, STALL, id="stall"),
        pytest.param(
            {"kl_history": [0.1] * 50 + [0.4] * 5, "accuracies": [0.5] * 6}, KL_SPIKE, id="both"
        ),
    ],
)
def test_spike_and_stall_keep_the_gap_to_the_last_reset(
    fields: dict[str, Any], reason: str
) -> None:
    spec = make_spec(everySteps=0)
    assert decide_reset(spec, at(199, **fields)) is None
    found = decide_reset(spec, at(200, **fields))
    assert found is not None
    assert found.reason == reason
    assert decide_reset(spec, at(399, reference=reset_at(200), **fields)) is None
    assert decide_reset(spec, at(400, reference=reset_at(200), **fields)) is not None
    assert decide_reset(make_spec(everySteps=0, klSpike=OFF, stall=OFF), at(400, **fields)) is None


def test_both_histories_start_anew_at_a_reset_and_the_log_says_what_it_was() -> None:
    spec = make_spec(optimizer="Clear")
    state = at(300, kl_history=[0.1, 0.9], accuracies=[0.4, 0.5], accuracy=0.45, best_accuracy=0.5)
    state = after_reset(spec, state, Decision(reason=KL_SPIKE, values={"kl": 0.9}), source_step=300)
    assert (state.kl_history, state.accuracies, state.best_accuracy) == ([], [0.45], 0.5)
    assert state.reference.cleared_step == 300
    assert [e.model_dump() for e in state.reference.log] == [
        {
            "step": 300, "reason": KL_SPIKE, "values": {"kl": 0.9}, "ref_version": 1,
            "source_step": 300, "requests": [],
        }
    ]  # fmt: skip
    kept = after_reset(make_spec(), state, Decision(reason=STALL, values={}), source_step=300)
    assert kept.reference.cleared_step == 300, "the re-warming goes on"


def test_the_log_is_bounded_and_keeps_the_newest() -> None:
    state, spec = STATE, make_spec()
    for step in range(LOG_ENTRIES + 3):
        decision = Decision(reason=INTERVAL, values={})
        state = after_reset(spec, at(step, reference=state.reference), decision, source_step=step)
    assert len(state.reference.log) == LOG_ENTRIES
    assert state.reference.log[-1].ref_version == state.reference.version == LOG_ENTRIES + 3


@pytest.mark.parametrize(
    ("wanted", "best_steps", "expected"),
    [
        pytest.param("Current", [10], None, id="current"),
        pytest.param("Best", [5, 10], 10, id="the-newest-best"),
        pytest.param("Best", [20], None, id="the-best-is-the-current-policy"),
        pytest.param("Best", [], None, id="none-was-evaluated"),
    ],
)
def test_which_checkpoint_becomes_the_reference(
    wanted: str, best_steps: list[int], expected: int | None
) -> None:
    spec = make_spec(newReference=wanted)
    assert best_step(spec, at(20, best_steps=best_steps)) == expected


STEPS = st.tuples(st.sampled_from([0.1, 0.11, 0.5, 2.0]), st.sampled_from([None, 0.5, 0.501, 0.6]))
RULE = make_spec(
    steps=60, everySteps=20, minGapSteps=4, stall={"evals": 2, "minDelta": 0.01},
    klSpike={"window": 5, "consecutive": 2, "absolute": 1.5},
)  # fmt: skip


def run(state: RunState, measured: list[tuple[float, float | None]]) -> RunState:
    for kl, accuracy in measured:
        state = after_step(RULE, state.model_copy(update={"step": state.step + 1}), {"kl": kl})
        if accuracy is not None:
            state = after_validation(RULE, state, {"accuracy": accuracy})
        decision = decide_reset(RULE, state)
        if decision is not None:
            state = after_reset(RULE, state, decision, source_step=state.step)
    return state


@settings(max_examples=60, deadline=None)
@given(st.lists(STEPS, min_size=30, max_size=60), st.integers(0, 60))
def test_a_run_that_was_saved_and_resumed_anywhere_decides_the_same(
    measured: list[tuple[float, float | None]], split: int
) -> None:
    saved = run(STATE, measured[:split]).model_dump_json(by_alias=True)
    resumed = run(RunState.model_validate_json(saved), measured[split:])
    whole = run(STATE, measured)
    assert resumed == whole
    assert len(whole.kl_history) <= MIN_HISTORY
    assert whole.reference.version >= 1, "the interval alone makes one"


@given(st.integers(0, 60), st.integers(1, 60), st.integers(0, 12))
def test_the_announced_reset_is_the_first_one_that_comes(step: int, total: int, every: int) -> None:
    spec = make_spec(steps=total, everySteps=every, klSpike=OFF, stall=OFF)
    last = step // every * every if every else 0
    state = at(step, reference=ReferenceState(last_reset_step=last or None))
    later = [state.model_copy(update={"step": s}) for s in range(step + 1, total + 1)]
    coming = [s.step for s in later if decide_reset(spec, s)]
    assert next_interval_step(spec, state, step + 1) == (coming[0] if coming else None)
