"""spec.guard: what counts as broken, from which policy on, and what the state remembers."""

from typing import Any

import pytest
from prorl_api.job import ProRLJobSpec
from prorl_api.spec_guard import GuardAction
from prorl_trainer import guard
from prorl_trainer.checkpoint.state import GuardState, RunState
from prorl_trainer.errors import GuardError, NonFiniteError
from prorl_trainer.types import CarriedGroup

SET: dict[str, Any] = {"name": "sums", "domain": "math", "uri": "gym://reasoning-gym/chain_sum"}
STATE = RunState(job_uid="u", job_name="j", spec_hash="h")
FINE = {"non_finite": 0.0, "kl": 0.1, "entropy": 1.0, "truncated_ratio": 0.1}
SKIPPED = {"non_finite": 1.0, "truncated_ratio": 0.1}


def make_spec(**fields: Any) -> ProRLJobSpec:
    return ProRLJobSpec.model_validate(
        {"model": {"uri": "tiny://llama"}, "data": {"train": [SET]}, "guard": fields}
    )


def watched(spec: ProRLJobSpec, *steps: dict[str, float]) -> tuple[RunState, list[str | None]]:
    """The state after the steps, and the rule that each of them found broken."""
    state, found = STATE, []
    for values in steps:
        state = state.model_copy(update={"step": state.step + 1})
        state = guard.after_step(spec, state, values)
        breach = guard.decide(spec, state, values)
        found.append(breach.rule if breach else None)
    return state, found


@pytest.mark.parametrize(
    ("rule", "bound", "metric", "at", "over"),
    [
        pytest.param("klAbove", 0.5, "kl", 0.5, 0.51, id="kl"),
        pytest.param("entropyBelow", 0.2, "entropy", 0.2, 0.19, id="entropy"),
        pytest.param("truncationAbove", 0.4, "truncated_ratio", 0.4, 0.41, id="truncation"),
    ],
)
def test_a_rule_is_broken_by_steps_in_a_row_beyond_its_bound(
    rule: str, bound: float, metric: str, at: float, over: float
) -> None:
    spec = make_spec(**{rule: bound}, consecutive=2)
    inside, outside = FINE | {metric: at}, FINE | {metric: over}
    assert watched(spec, inside, inside, inside)[1] == [None, None, None]
    assert watched(spec, outside, inside, outside)[1] == [None, None, None]
    assert watched(spec, inside, outside, outside)[1] == [None, None, rule]
    assert watched(make_spec(consecutive=2), outside, outside)[1] == [None, None], "absent is off"


def test_updates_that_are_not_finite_have_a_count_of_their_own() -> None:
    spec = make_spec(nonFinite=3, consecutive=1)
    assert watched(spec, SKIPPED, SKIPPED, SKIPPED)[1] == [None, None, "nonFinite"]
    assert watched(spec, SKIPPED, SKIPPED, FINE, SKIPPED)[1] == [None] * 4


def test_a_skipped_update_neither_proves_nor_disproves_what_it_did_not_measure() -> None:
    spec = make_spec(klAbove=0.5, consecutive=2)
    assert watched(spec, FINE | {"kl": 0.9}, SKIPPED, FINE | {"kl": 0.9})[1][-1] == "klAbove"


def test_the_policy_that_the_first_broken_step_began_with_is_out_of_bounds() -> None:
    spec = make_spec(klAbove=0.5, consecutive=3)
    high = FINE | {"kl": 0.9}
    assert watched(spec, FINE, FINE, high, high)[0].guard.since == 2
    assert watched(spec, FINE, high, FINE)[0].guard.since is None
    assert watched(spec, high, FINE, FINE, high)[0].guard.since == 3


def test_the_message_has_the_numbers_and_the_field() -> None:
    spec = make_spec(entropyBelow=0.2, consecutive=2)
    low = FINE | {"entropy": 0.1234567}
    state, _ = watched(spec, low, low)
    breach = guard.decide(spec, state, low)
    assert breach == guard.Breach(
        rule="entropyBelow",
        action=GuardAction.ROLLBACK,
        message="entropy was below 0.2 (0.1235 now) for 2 steps in a row up to step 2 "
        "(spec.guard.entropyBelow).",
    )


def breached(action: str = "Rollback", rollbacks: int = 0) -> tuple[ProRLJobSpec, RunState, Any]:
    spec = make_spec(nonFinite=1, action=action, maxRollbacks=2)
    before = STATE.model_copy(update={"guard": GuardState(rollbacks=rollbacks), "step": 7})
    state = guard.after_step(spec, before, SKIPPED)
    breach = guard.decide(spec, state, SKIPPED)
    assert breach is not None
    return spec, state, breach


def test_after_a_rollback_other_prompts_are_drawn_and_it_is_counted() -> None:
    _, failed, breach = breached(rollbacks=1)
    failed = failed.model_copy(update={"next_ordinal": 99})
    earlier = STATE.model_copy(update={"step": 4, "next_ordinal": 40, "tokens": 5})
    state = guard.after_rollback(earlier, failed, breach)
    assert (state.step, state.next_ordinal, state.tokens) == (4, 99, 5)
    assert (state.guard.rollbacks, state.guard.counts, state.guard.since) == (2, {}, None)
    assert state.guard.last is not None
    assert (state.guard.last.last_step, state.guard.last.went_on_from) == (7, 4)
    saved = [s for s in range(4, 8) if guard.must_save(state.model_copy(update={"step": s}))]
    assert saved == [5], "the first step after it makes it durable"


def test_no_prompt_that_waits_is_lost_by_a_rollback_and_no_old_group_comes_back() -> None:
    _, failed, breach = breached()
    waiting = CarriedGroup(ordinal=52, completions=(), verdicts=())
    old = CarriedGroup(ordinal=38, completions=(), verdicts=())
    failed = failed.model_copy(
        update={"next_ordinal": 60, "returned": [57, 41], "carried": (waiting,)}
    )
    earlier = STATE.model_copy(
        update={"step": 4, "next_ordinal": 40, "returned": [12], "carried": (old,)}
    )
    state = guard.after_rollback(earlier, failed, breach)
    assert (state.next_ordinal, state.returned, state.carried) == (60, [41, 52, 57], ())


def test_the_last_rollback_is_followed_by_failure() -> None:
    assert breached(rollbacks=1)[2].action is GuardAction.ROLLBACK
    breach = breached(rollbacks=2)[2]
    assert breach.action is GuardAction.FAIL
    assert breach.message.endswith("2 of 2 rollbacks (spec.guard.maxRollbacks) are used up.")


def test_a_pause_lasts_until_somebody_resumes_or_changes_the_guard() -> None:
    spec, state, breach = breached("Pause")
    paused = guard.after_pause(spec, state, breach)
    resumed = RunState.model_validate_json(paused.model_dump_json(by_alias=True))
    assert guard.must_save(paused)
    assert guard.is_paused(spec, resumed), "a restart does not end it"
    assert not guard.is_paused(make_spec(nonFinite=9, action="Pause"), resumed)
    gone_on = guard.after_resume(resumed)
    assert not guard.is_paused(spec, gone_on)
    assert (gone_on.guard.counts, guard.must_save(gone_on)) == ({}, False)
    following = gone_on.model_copy(update={"step": gone_on.step + 1})
    assert guard.must_save(following), "or a crash would make the run wait once more"


def test_what_ends_the_run_has_the_exit_code_of_its_rule() -> None:
    assert isinstance(guard.failure(breached("Fail")[2]), NonFiniteError)
    kl = guard.Breach(rule="klAbove", action=GuardAction.FAIL, message="kl was above 1.")
    assert isinstance(guard.failure(kl), GuardError)
