"""Suspension: save, then give the pods back in order."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from prorl_api.commands import Command, CommandKind

from prorl_operator.plan.actions import Action
from prorl_operator.plan.observed import COORDINATOR, Observed
from prorl_operator.plan.pods import deletions
from prorl_operator.plan.progress import timestamp


@dataclass(frozen=True, kw_only=True, slots=True)
class SuspensionPlan:
    """Part of a plan."""

    actions: tuple[Action, ...] = ()
    commands: tuple[Command, ...] = ()
    requeue_after_s: float | None = None


def began_at(observed: Observed, now: datetime) -> str:
    """When the job was asked to stop: now, unless that was before."""
    return observed.suspending_since or timestamp(now)


def plan_suspension(observed: Observed, now: datetime) -> SuspensionPlan:
    """The save, for which there are spec.checkpoint.gracePeriodSeconds, then the pods. The
    coordinator, whose final word tells the step, goes last."""
    since = began_at(observed, now)
    grace = timedelta(seconds=observed.job.spec.checkpoint.grace_period_seconds)
    left_s = (datetime.fromisoformat(since) + grace - now).total_seconds()
    pod = observed.coordinator
    if pod is not None and pod.phase == "Running" and left_s > 0:
        command = Command(id=f"suspend-{since}", kind=CommandKind.STOP)
        return SuspensionPlan(commands=(command,), requeue_after_s=max(1.0, left_s))
    others = [one for one in observed.pods if one.slot != COORDINATOR]
    has_last_word = pod is not None and pod.ended
    return SuspensionPlan(actions=deletions(others if others and has_last_word else observed.pods))
