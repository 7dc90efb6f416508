"""spec.runPolicy's deadlines: what is awaited, since when, and when it is over."""

from datetime import datetime, timedelta

from prorl_api.spec_roles import Role

from prorl_operator.build.config import slots
from prorl_operator.build.names import Slot
from prorl_operator.plan.blockers import find_blocker
from prorl_operator.plan.failure import JobFailure
from prorl_operator.plan.observed import Observed
from prorl_operator.plan.progress import timestamp

PENDING_DEADLINE_EXCEEDED = "PendingDeadlineExceeded"
DEADLINE_EXCEEDED = "DeadlineExceeded"


def missing_slots(observed: Observed) -> list[Slot]:
    """Those that training needs and that have no running pod."""
    spec = observed.job.spec
    up = {pod.slot for pod in observed.pods if pod.running}
    enough = {Role.ROLLOUT: spec.rollout.min_replicas, Role.VERIFIER: 1}
    spared = [role for role, n in enough.items() if sum(s.role is role for s in up) >= n]
    return [slot for slot in slots(spec) if slot not in up and slot.role not in spared]


def pending_since(observed: Observed, now: datetime) -> str | None:
    """None while training has the pods that it needs."""
    if not missing_slots(observed):
        return None
    known = observed.stored.pending_since if observed.stored else None
    return known or timestamp(now)


def active_since(observed: Observed) -> datetime | None:
    """The start, or the last resume; None before the start."""
    stored, before = observed.stored, observed.suspended_before
    if stored is None or stored.start_time is None:
        return None
    moments = [stored.start_time]
    if before is not None and before.status == "False":
        moments.append(before.last_transition_time)
    return max(datetime.fromisoformat(one) for one in moments)


def find_overdue(observed: Observed, now: datetime) -> JobFailure | None:
    """The deadline that has passed."""
    pending_at, active_at = _pending_end(observed, now), _active_end(observed)
    if pending_at is not None and now >= pending_at:
        return _pending_overdue(observed)
    if active_at is not None and now >= active_at:
        limit = observed.job.spec.run_policy.active_deadline_seconds
        message = f"The job has been active for {limit} s (spec.runPolicy.activeDeadlineSeconds)."
        return JobFailure(reason=DEADLINE_EXCEEDED, message=message)
    return None


def deadlines(observed: Observed, now: datetime) -> list[datetime]:
    """Those that are set."""
    ends = (_pending_end(observed, now), _active_end(observed))
    return [at for at in ends if at is not None]


def _pending_overdue(observed: Observed) -> JobFailure:
    limit = observed.job.spec.run_policy.pending_deadline_seconds
    missing = missing_slots(observed)
    names = ", ".join(slot.host_name for slot in missing[:5]) + ", ..." * (len(missing) > 5)
    blocked = find_blocker(observed)
    return JobFailure(
        reason=PENDING_DEADLINE_EXCEEDED,
        message=(
            f"{len(missing)} pods that training needs were not running for {limit} s "
            f"(spec.runPolicy.pendingDeadlineSeconds): {names}. "
            f"{blocked.message if blocked else ''}"
        ).rstrip(),
    )


def _pending_end(observed: Observed, now: datetime) -> datetime | None:
    limit = observed.job.spec.run_policy.pending_deadline_seconds
    since = pending_since(observed, now)
    if limit is None or since is None:
        return None
    return datetime.fromisoformat(since) + timedelta(seconds=limit)


def _active_end(observed: Observed) -> datetime | None:
    limit, since = observed.job.spec.run_policy.active_deadline_seconds, active_since(observed)
    return None if limit is None or since is None else since + timedelta(seconds=limit)
