"""Events from what changed in status."""

from typing import Any

import pytest
from controller_builders import make_condition, make_status
from prorl_api.spec_guard import GuardAction
from prorl_api.status import GuardStatus, Phase, ProRLJobStatus, ReferenceStatus
from prorl_operator.plan.actions import PlannedEvent
from prorl_operator.plan.events import transition_events

PENDING = make_status(phase=Phase.PENDING, progress=None)


def told(before: ProRLJobStatus | None, after: ProRLJobStatus) -> list[tuple[str, str, bool]]:
    return [(e.reason, e.note, e.warning) for e in transition_events(before, after)]


def identity(before: ProRLJobStatus | None, after: ProRLJobStatus) -> str:
    (event,) = transition_events(before, after)
    return event.identity


def blocked(reason: str, message: str = "Why.") -> ProRLJobStatus:
    ready = make_condition("RolesReady", status="False", reason=reason, message=message)
    return make_status(conditions=[ready])


@pytest.mark.parametrize(
    ("phase", "event"),
    [
        (Phase.STARTING, ("Started", "The coordinator is running.", False)),
        (Phase.RUNNING, ("Running", "Training: 7 of 2000 steps done.", False)),
        (Phase.SUCCEEDED, ("Succeeded", "The job has succeeded: 7 of 2000 steps done.", False)),
        (Phase.FAILED, ("Failed", "Row 3.", True)),
    ],
    ids=lambda value: value if isinstance(value, Phase) else "",
)
def test_a_new_phase_is_told(phase: Phase, event: tuple[str, str, bool]) -> None:
    failed = make_condition("Failed", message="Row 3.")
    assert told(PENDING, make_status(phase=phase, conditions=[failed])) == [event]


@pytest.mark.parametrize("phase", [Phase.PENDING, Phase.RECOVERING])
def test_phases_that_other_events_explain_are_not_told(phase: Phase) -> None:
    assert told(make_status(), make_status(phase=phase)) == []


def test_a_job_without_steps_says_so() -> None:
    (event,) = told(PENDING, make_status(progress=None))
    assert event[1] == "Training: No step done."


@pytest.mark.parametrize(
    "after",
    [
        make_status(),
        make_status(restarts=3, attempt=2, checkpoint=None),
        make_status(reference=ReferenceStatus(version=0, next_reset_step=9)),
    ],
    ids=["nothing", "numbers", "same reference"],
)
def test_what_is_no_news_is_not_told(after: ProRLJobStatus) -> None:
    assert told(make_status(), after) == []


def test_a_reference_reset_is_told_once_with_its_version() -> None:
    reset = ReferenceStatus(version=2, last_reset_step=400, last_reason="Schedule")
    after = make_status(reference=reset)
    note = "The reference policy was reset at step 400 (Schedule); it is version 2 now."
    assert told(make_status(), after) == [("ReferenceReset", note, False)]
    again = make_status(reference=reset.model_copy(update={"last_reset_step": 500}))
    assert identity(make_status(), after) != identity(make_status(), again), "after a rollback"
    assert told(after, after) == []
    assert told(after, make_status(reference=ReferenceStatus(version=1))) == []


def test_the_first_status_tells_resets_that_nobody_has_seen_stored() -> None:
    reset = ReferenceStatus(version=1, last_reset_step=4, last_reason="Schedule")
    reasons = [reason for reason, *_ in told(None, make_status(reference=reset))]
    assert reasons == ["Running", "ReferenceReset"]


@pytest.mark.parametrize(
    ("reason", "event"),
    [
        ("ImagePullFailed", "ImagePullFailed"),
        ("Unschedulable", "Blocked"),
        ("ClaimMissing", "Blocked"),
        ("NameConflict", "Blocked"),
        ("RefusedByApiServer", "Blocked"),
    ],
)
def test_what_blocks_pods_is_a_warning(reason: str, event: str) -> None:
    usual = blocked("PodsNotReady")
    assert told(usual, blocked(reason)) == [(event, "Why.", True)]
    assert told(make_status(), blocked(reason)) == [(event, "Why.", True)]


@pytest.mark.parametrize("reason", ["PodsNotReady", "Finished", "AllReady"])
def test_the_usual_reasons_are_not_told(reason: str) -> None:
    assert told(make_status(), blocked(reason)) == []


def test_a_blocker_whose_words_change_is_not_told_again() -> None:
    assert told(blocked("Unschedulable", "0/3 nodes"), blocked("Unschedulable", "0/4 nodes")) == []
    assert told(blocked("Unschedulable"), blocked("ClaimMissing")) != []


@pytest.mark.parametrize(
    "later",
    [{"attempt": 2}, {"restarts": 1}, {"phase": Phase.SUCCEEDED}],
    ids=["attempt", "restarts", "phase"],
)
def test_the_same_happening_has_the_same_identity_and_another_one_another(
    later: dict[str, Any],
) -> None:
    first = identity(PENDING, make_status())
    assert identity(make_status(phase=Phase.RECOVERING), make_status()) == first
    assert identity(PENDING, make_status(**later)) != first


def test_events_come_in_a_fixed_order() -> None:
    after = blocked("Unschedulable").model_copy(update={"reference": ReferenceStatus(version=1)})
    events: list[PlannedEvent] = transition_events(PENDING, after)
    assert [e.reason for e in events] == ["Running", "ReferenceReset", "Blocked"]


def guarded(action: GuardAction, actions: int) -> ProRLJobStatus:
    guard = GuardStatus(
        actions=actions, last_action=action, last_rule="klAbove", last_step=7, went_on_from=4,
        message="kl was above 1 (9 now).",
    )  # fmt: skip
    return make_status(guard=guard)


@pytest.mark.parametrize(
    ("action", "event"),
    [
        (
            GuardAction.ROLLBACK,
            ("GuardRolledBack", "The run went back to step 4: kl was above 1 (9 now).", True),
        ),
        (GuardAction.PAUSE, ("GuardPaused", "The run waits: kl was above 1 (9 now).", True)),
    ],
    ids=["rollback", "pause"],
)
def test_what_the_guard_does_is_told_once_per_action(
    action: GuardAction, event: tuple[str, str, bool]
) -> None:
    assert told(make_status(), guarded(action, 1)) == [event]
    assert told(guarded(action, 1), guarded(action, 1)) == []
    assert told(guarded(action, 1), guarded(action, 2)) == [event]
    assert identity(make_status(), guarded(action, 2)) == "2"
