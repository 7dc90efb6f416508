"""Events from what changed in status: few, and each one worth reading."""

from prorl_api.spec_guard import GuardAction
from prorl_api.status import Condition, ConditionType, Phase, ProRLJobStatus

from prorl_operator.plan.actions import EventReason, PlannedEvent
from prorl_operator.plan.blockers import Blocker
from prorl_operator.plan.conditions import Reason


def transition_events(before: ProRLJobStatus | None, after: ProRLJobStatus) -> list[PlannedEvent]:
    """What a person following the job would want to be told."""
    old = before or ProRLJobStatus(attempt=0)
    events = [
        _phase_event(old, after),
        _resumed_event(old, after),
        _saved_event(old, after),
        _reset_event(old, after),
        _guard_event(old, after),
        _blocked_event(old, after),
        _stalled_event(old, after),
    ]
    return [event for event in events if event is not None]


def _phase_event(old: ProRLJobStatus, new: ProRLJobStatus) -> PlannedEvent | None:
    if new.phase is old.phase:
        return None
    done = f"{new.progress.step} of {new.progress.total_steps} steps" if new.progress else "No step"
    notes = {
        Phase.STARTING: (EventReason.STARTED, "The coordinator is running."),
        Phase.RUNNING: (EventReason.RUNNING, f"Training: {done} done."),
        Phase.SUSPENDING: (
            EventReason.SUSPENDING,
            "The job is saved, then its pods go.",
        ),
        Phase.SUSPENDED: (EventReason.SUSPENDED, _message(new, ConditionType.SUSPENDED)),
        Phase.SUCCEEDED: (EventReason.SUCCEEDED, f"The job has succeeded: {done} done."),
        Phase.FAILED: (EventReason.FAILED, _message(new, ConditionType.FAILED)),
    }
    if new.phase not in notes:
        return None
    reason, note = notes[new.phase]
    return PlannedEvent(
        reason=reason,
        note=note,
        identity=f"{new.phase}-{new.attempt}-{_num_faults(new)}",
        warning=new.phase is Phase.FAILED,
    )


def _resumed_event(old: ProRLJobStatus, new: ProRLJobStatus) -> PlannedEvent | None:
    before, after = (_condition(status, ConditionType.SUSPENDED) for status in (old, new))
    if before is None or after is None or (before.status, after.status) != ("True", "False"):
        return None
    if after.reason != Reason.RESUMED:
        return None
    return PlannedEvent(
        reason=EventReason.RESUMED, note=after.message, identity=after.last_transition_time
    )


def _saved_event(old: ProRLJobStatus, new: ProRLJobStatus) -> PlannedEvent | None:
    """Of a checkpoint that was asked for; the others are too many."""
    before = old.checkpoint.observed_token if old.checkpoint else None
    saved = new.checkpoint
    if saved is None or saved.observed_token in (None, before):
        return None
    return PlannedEvent(
        reason=EventReason.CHECKPOINT_SAVED,
        note=(
            f"The checkpoint that {saved.observed_token} asked for is durable: step "
            f"{saved.last_step} at {saved.uri}."
        ),
        identity=str(saved.observed_token),
    )


def _reset_event(old: ProRLJobStatus, new: ProRLJobStatus) -> PlannedEvent | None:
    reference = new.reference
    version = old.reference.version if old.reference else 0
    if reference is None or reference.version <= version:
        return None
    return PlannedEvent(
        reason=EventReason.REFERENCE_RESET,
        note=(
            f"The reference policy was reset at step {reference.last_reset_step} "
            f"({reference.last_reason}); it is version {reference.version} now."
        ),
        # A rollback takes a version back, and the next reset makes it again.
        identity=f"{reference.version}-{reference.last_reset_step}",
    )


def _guard_event(old: ProRLJobStatus, new: ProRLJobStatus) -> PlannedEvent | None:
    guard, before = new.guard, old.guard.actions if old.guard else 0
    if guard is None or guard.actions <= before:
        return None
    paused = guard.last_action is GuardAction.PAUSE
    then = "The run waits" if paused else f"The run went back to step {guard.went_on_from}"
    return PlannedEvent(
        reason=EventReason.GUARD_PAUSED if paused else EventReason.GUARD_ROLLED_BACK,
        note=f"{then}: {guard.message}",
        identity=str(guard.actions),
        warning=True,
    )


def _blocked_event(old: ProRLJobStatus, new: ProRLJobStatus) -> PlannedEvent | None:
    ready = _condition(new, ConditionType.ROLES_READY)
    before = _condition(old, ConditionType.ROLES_READY)
    usual = (*_USUAL, before.reason if before else "")
    if ready is None or ready.status == "True" or ready.reason in usual:
        return None
    image = ready.reason == Blocker.IMAGE_PULL_FAILED
    return PlannedEvent(
        reason=EventReason.IMAGE_PULL_FAILED if image else EventReason.BLOCKED,
        note=ready.message,
        identity=f"{ready.reason}-{new.attempt}-{_num_faults(new)}",
        warning=True,
    )


def _stalled_event(old: ProRLJobStatus, new: ProRLJobStatus) -> PlannedEvent | None:
    before, after = (_condition(status, ConditionType.STALLED) for status in (old, new))
    if after is None or after.status == "False" or (before and before.status == "True"):
        return None
    return PlannedEvent(
        reason=EventReason.STALLED,
        note=after.message,
        identity=after.last_transition_time,
        warning=True,
    )


_USUAL = (
    Reason.ALL_READY,
    Reason.PODS_NOT_READY,
    Reason.SUSPENDING,
    Reason.SUSPENDED,
    Reason.FINISHED,
)


def _num_faults(status: ProRLJobStatus) -> int:
    return status.restarts + status.disruptions


def _message(status: ProRLJobStatus, kind: ConditionType) -> str:
    condition = _condition(status, kind)
    return condition.message if condition else ""


def _condition(status: ProRLJobStatus, kind: ConditionType) -> Condition | None:
    return next((c for c in status.conditions if c.type == kind), None)
