"""Request tokens, asked for until their result is durable and echoed once; changes of the spec."""

from dataclasses import replace
from typing import Any

import pytest
from controller_builders import (
    COORDINATOR,
    NOW,
    make_converged,
    make_document,
    make_ended,
    make_job,
    settle,
)
from hypothesis import given
from hypothesis import strategies as st
from prorl_api.commands import Command, CommandKind, CommandResult, CommandState
from prorl_api.exit_codes import ExitCode
from prorl_api.live import live_of
from prorl_api.status import ProRLJobStatus, ReferenceStatus
from prorl_api.wire import StatusDocument
from prorl_operator.plan.observed import Observed
from prorl_operator.plan.plan import make_plan
from pydantic import ValidationError

SAVE, RESET = "Checkpoint-a", "ResetReference-b"


def asking(observed: Observed, save: str | None = "a", reset: str | None = "b") -> Observed:
    tokens = {"checkpoint": {"requestToken": save}, "referenceReset": {"requestToken": reset}}
    return replace(observed, job=make_job(generation=2, **tokens))


def answered(observed: Observed, *ids: str, **values: Any) -> Observed:
    done = [CommandResult(id=one, state=CommandState.DONE, step=8) for one in ids]
    return replace(observed, document=make_document(commands=done, **values))


def asked(observed: Observed) -> list[str]:
    """What is asked for once the coordinator has taken over the changed spec."""
    return [command.id for command in make_plan(observed, NOW).commands if command.live is None]


def tokens(status: ProRLJobStatus) -> tuple[str | None, str | None]:
    assert status.checkpoint is not None
    assert status.reference is not None
    return status.checkpoint.observed_token, status.reference.observed_token


def test_a_new_token_is_a_command_of_its_kind_and_none_is_none() -> None:
    plan = make_plan(asking(make_converged()), NOW)
    assert [(command.id, command.kind) for command in plan.commands[1:]] == [
        (SAVE, CommandKind.CHECKPOINT),
        (RESET, CommandKind.RESET_REFERENCE),
    ]
    assert tokens(plan.status) == (None, None)
    assert asked(make_converged()) == []


def test_accepted_is_not_done() -> None:
    accepted = [CommandResult(id=one, state=CommandState.ACCEPTED) for one in (SAVE, RESET)]
    observed = replace(asking(make_converged()), document=make_document(commands=accepted))
    assert asked(observed) == [SAVE, RESET]
    assert tokens(make_plan(observed, NOW).status) == (None, None)


def test_what_is_durable_is_echoed_told_once_and_not_asked_again() -> None:
    reference = ReferenceStatus(version=1, last_reset_step=8, last_reason="Requested")
    observed = answered(asking(make_converged()), SAVE, RESET, reference=reference, generation=2)
    plan = make_plan(observed, NOW)
    assert plan.commands == ()
    assert tokens(plan.status) == ("a", "b")
    notes = {event.reason: event.note for event in plan.events}
    assert notes["CheckpointSaved"].startswith("The checkpoint that a asked for is durable: step 5")
    assert notes["ReferenceReset"] == (
        "The reference policy was reset at step 8 (Requested); it is version 1 now."
    )
    assert make_plan(settle(observed), NOW).events == ()


def test_an_operator_that_starts_anew_knows_by_status_what_was_done() -> None:
    done = settle(answered(asking(make_converged()), SAVE, RESET))
    silent = replace(done, document=None)
    assert asked(silent) == []
    assert tokens(make_plan(silent, NOW).status) == ("a", "b")
    assert asked(asking(silent, save="c")) == ["Checkpoint-c"]
    assert asked(asking(silent, save=None, reset=None)) == []


def test_the_answer_to_an_earlier_token_is_not_taken_for_this_one() -> None:
    observed = answered(asking(make_converged(), save="new"), SAVE, RESET)
    assert asked(observed) == ["Checkpoint-new"]
    assert tokens(make_plan(observed, NOW).status) == (None, "b")


def test_a_suspended_job_keeps_its_requests_until_it_runs_again() -> None:
    ended = make_converged(make_ended(COORDINATOR, ExitCode.STOPPED))
    suspended = replace(ended, job=make_job(suspend=True, checkpoint={"requestToken": "a"}))
    assert asked(suspended) == []
    gone = settle(replace(settle(suspended), pods=()))
    assert asked(gone) == []
    assert asked(settle(asking(gone))) == [SAVE, RESET]


@given(st.lists(st.sampled_from(["a", "b", "restart", "done"]), max_size=8))
def test_whatever_happens_a_token_is_asked_for_until_it_is_echoed_and_never_after(
    moments: list[str],
) -> None:
    observed, seen = asking(make_converged(), save=None, reset=None), None
    for moment in moments:
        wanted = observed.job.spec.checkpoint.request_token
        if moment == "restart":
            observed = replace(observed, document=None)
        elif moment == "done" and wanted:
            observed, seen = answered(observed, f"Checkpoint-{wanted}"), wanted
        elif moment != "done":
            observed = asking(observed, save=moment, reset=None)
        observed = settle(observed, passes=1)
        wanted = observed.job.spec.checkpoint.request_token
        assert asked(observed) == ([f"Checkpoint-{wanted}"] if wanted and wanted != seen else [])


def test_a_changed_spec_is_handed_over_until_the_coordinator_says_that_it_is_in_force() -> None:
    before = make_converged()
    changed = replace(before, job=make_job(generation=7, algorithm={"steps": 3000}))
    (command,) = make_plan(changed, NOW).commands
    assert (command.id, command.kind) == ("Configure-7", CommandKind.CONFIGURE)
    assert command.live is not None
    assert (command.live.generation, command.live.steps) == (7, 3000)
    assert make_plan(changed, NOW).status.applied_generation == 1
    applied = replace(changed, document=make_document(generation=7))
    plan = make_plan(applied, NOW)
    assert (plan.commands, plan.status.applied_generation) == ((), 7)
    silent = replace(settle(applied), document=None)
    assert make_plan(silent, NOW).commands == ()
    assert make_plan(silent, NOW).status.applied_generation == 7


def test_an_operator_with_an_old_view_does_not_take_a_coordinator_back() -> None:
    observed = replace(make_converged(), document=make_document(generation=2))
    assert make_plan(observed, NOW).commands == ()


@pytest.mark.parametrize("kind", CommandKind)
def test_a_command_has_a_spec_exactly_if_it_hands_one_over(kind: CommandKind) -> None:
    live = live_of(make_job())
    wrong = None if kind is CommandKind.CONFIGURE else live
    with pytest.raises(ValidationError, match="live belongs to Configure"):
        Command(id="a", kind=kind, live=wrong)
    right = Command(id="a", kind=kind, live=live if wrong is None else None)
    text = right.model_dump_json(by_alias=True)
    assert Command.model_validate_json(text) == right
    assert ("live" in text) == (wrong is None)


def test_a_document_with_commands_is_read_back() -> None:
    document = make_document(commands=[CommandResult(id=SAVE, state=CommandState.DONE, step=8)])
    text = document.model_dump_json(by_alias=True)
    assert StatusDocument.model_validate_json(text) == document
