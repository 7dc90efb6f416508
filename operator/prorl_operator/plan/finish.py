"""What becomes of a job that has ended, and of its pods."""

from datetime import datetime, timedelta

from prorl_api.spec_run_policy import KeepPods

from prorl_operator.plan.actions import Action, DeleteJob
from prorl_operator.plan.observed import Observed
from prorl_operator.plan.pods import deletions
from prorl_operator.plan.situation import Situation


def clear_pods(situation: Situation, observed: Observed) -> tuple[Action, ...]:
    """Gives the resources back; what has ended holds none. A pod with the final word stays until
    status has it."""
    keep = observed.job.spec.run_policy.keep_pods
    if keep is KeepPods.ALL:
        return ()
    all_go = keep is KeepPods.NONE and situation is Situation.FINISHED
    return deletions(pod for pod in observed.pods if all_go or not pod.ended)


def expires_at(observed: Observed) -> datetime | None:
    """When an ended job is to be deleted; None: never."""
    ttl_s = observed.job.spec.run_policy.ttl_seconds_after_finished
    ended = observed.stored.completion_time if observed.stored else None
    if ttl_s is None or ended is None:
        return None
    return datetime.fromisoformat(ended) + timedelta(seconds=ttl_s)


def expire(observed: Observed, now: datetime) -> tuple[Action, ...]:
    """Of a job whose end status has."""
    at = expires_at(observed)
    return (DeleteJob(),) if at is not None and now >= at else ()
