"""Request tokens: asked for until their result is durable, echoed once, remembered by status."""

from dataclasses import replace
from typing import Any

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
from prorl_api.exit_codes import ExitCode
from prorl_api.status import ProRLJobStatus, ReferenceStatus
from prorl_api.wire import CommandKind, CommandResult, CommandState, StatusDocument
from prorl_operator.plan.observed import Observed
from prorl_operator.plan.plan import make_plan

SAVE, RESET = "Checkpoint-a", "ResetReference-b"


def asking(observed: Observed, save: str | None = "a", reset: str | None = "b") -> Observed:
    tokens = {"checkpoint": {"requestToken": save}, "referenceReset": {"requestToken": reset}}
    return replace(observed, job=make_job(generation=2, **tokens))


def answered(observed: Observed, *ids: str, **values: Any) -> Observed:
    done = [CommandResult(id=one, state=CommandState.DONE, step=8) for one in ids]
    return replace(observed, document=make_document(commands=done, **values))


def asked(observed: Observed) -> list[str]:
    return [command.id for command in make_plan(observed, NOW).commands]


def tokens(status: ProRLJobStatus) -> tuple[str | None, str | None]:
    assert status.checkpoint is not None
    assert status.reference is not None
    return status.checkpoint.observed_token, status.reference.observed_token


def test_a_new_token_is_a_command_of_its_kind_and_none_is_none() -> None:
    plan = make_plan(asking(make_converged()), NOW)
    assert [(command.id, command.kind) for command in plan.commands] == [
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
    observed = answered(asking(make_converged()), SAVE, RESET, reference=reference)
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


def test_a_document_with_commands_is_read_back() -> None:
    document = make_document(commands=[CommandResult(id=SAVE, state=CommandState.DONE, step=8)])
    text = document.model_dump_json(by_alias=True)
    assert StatusDocument.model_validate_json(text) == document
