"""Whether training still moves: the heartbeat is a finished step."""

from datetime import datetime, timedelta

from prorl_api.spec_run_policy import StallAction
from prorl_api.status import ConditionType
from prorl_api.wire import Stage

from prorl_operator.build.ledger import BOUNDED
from prorl_operator.plan.deadlines import missing_slots
from prorl_operator.plan.observed import Observed
from prorl_operator.plan.progress import derive_training


def moving_since(observed: Observed, now: datetime) -> datetime | None:
    """The last sign of training: a finished step, a pod's start, or the end of a pause. None: no
    step is to be expected now."""
    document, coordinator = observed.live_document, observed.coordinator
    paused = document is not None and document.stage in (Stage.PAUSED, Stage.DONE)
    if coordinator is None or paused or missing_slots(observed):
        return None
    signs = [pod.started_at for pod in observed.pods if pod.slot.role in BOUNDED and pod.started_at]
    progress = derive_training(observed, now).progress
    signs += _moments(progress.last_time if progress else None)
    changed = observed.said(ConditionType.PROGRESSING)
    signs += _moments(changed.last_transition_time if changed else None)
    return max(signs, default=None)


def stall_at(observed: Observed, now: datetime) -> datetime | None:
    """When the job will be stalled if nothing moves."""
    since, limit = moving_since(observed, now), observed.job.spec.run_policy.stall_seconds
    return None if since is None else since + timedelta(seconds=limit)


def describe_stall(observed: Observed, now: datetime) -> str:
    """A sentence with the limit; empty while training moves."""
    at = stall_at(observed, now)
    if at is None or now < at:
        return ""
    limit = observed.job.spec.run_policy.stall_seconds
    progress = derive_training(observed, now).progress
    done = f" {progress.step} of {progress.total_steps} steps are done." if progress else ""
    document = observed.live_document
    waits = f" {document.message}" if document is not None and document.message else ""
    return f"No step was finished for {limit} s (spec.runPolicy.stallSeconds).{done}{waits}"


def stall_to_restart_for(observed: Observed, now: datetime) -> str:
    """The same, where the spec wants a restart."""
    restarts = observed.job.spec.run_policy.on_stall is StallAction.RESTART
    return describe_stall(observed, now) if restarts else ""


def _moments(text: str | None) -> list[datetime]:
    return [datetime.fromisoformat(text)] if text else []
