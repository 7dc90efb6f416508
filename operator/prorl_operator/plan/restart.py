"""When a pod is replaced: pure policy, no client, the clock is passed in."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from prorl_api.spec_roles import Role
from prorl_api.spec_run_policy import Backoff

from prorl_operator.build.ledger import BOUNDED, Cause, Fault
from prorl_operator.plan.disruption import Disruption
from prorl_operator.plan.failure import (
    End,
    classify_end,
    fault_of,
    find_pod_disruption,
    how_it_ended,
)
from prorl_operator.plan.observed import LOST_AFTER, Observed, PodView

FIRST_DELAY_S = 10.0
"""Pause before the replacement of a pod that hardly ran and has not failed."""
HEALTHY_RUN_S = 600.0
"""A pod that ran this long was healthy: what ended it is a new matter, without backoff."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Replace:
    """Make the next incarnation now."""

    fault: Fault | None = None
    """None: there never was a pod."""
    why: str = ""
    disruption: Disruption | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Wait:
    """Look again then."""

    seconds: float
    why: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Keep:
    """The pod is as it should be."""


Decision = Keep | Wait | Replace


def decide(pod: PodView, observed: Observed, now: datetime) -> Decision:
    """`pod` is the newest of its slot."""
    if pod.ended:
        return _after_end(pod, observed, now)
    if not pod.leaving:
        return Keep()
    if pod.slot.role is not Role.COORDINATOR or pod.lost(now):
        return replacement(pod, observed, now)
    # Two coordinators must never run at once; the fencing attempt would save the checkpoints,
    # but not the work.
    assert pod.deletion_at is not None
    left = (pod.deletion_at + LOST_AFTER - now).total_seconds()
    return Wait(seconds=max(1.0, left + 1.0), why=f"Pod {pod.name} is still ending")


def replacement(pod: PodView, observed: Observed, now: datetime) -> Replace:
    """`pod` has ended or is leaving."""
    disruption = find_pod_disruption(pod)
    fault = fault_of(pod, observed.rules, now)
    why = how_it_ended(pod)
    if fault.cause is Cause.END:
        why = f"ended with exit code {pod.exit_code}"
    return Replace(fault=fault, why=why, disruption=disruption)


def backoff_s(policy: Backoff, failures: int, ran_s: float) -> float:
    """Pause before the replacement of a pod after `failures` earlier ones; the first is free."""
    if failures <= 0 or ran_s >= HEALTHY_RUN_S:
        return 0.0
    return min(policy.max_seconds, policy.base_seconds * 2.0 ** min(failures - 1, 30))


def _after_end(pod: PodView, observed: Observed, now: datetime) -> Decision:
    pause_s = _pause_s(pod, observed, now)
    left_s = (_ended_at(pod, now) + timedelta(seconds=pause_s) - now).total_seconds()
    if pause_s > 0 and left_s > 0:
        seconds = min(pause_s, left_s)  # its end may lie ahead of a clock that has gone back
        return Wait(seconds=seconds, why=f"Pod {pod.name} is replaced in {seconds:.0f} s")
    return replacement(pod, observed, now)


def _pause_s(pod: PodView, observed: Observed, now: datetime) -> float:
    """A pod that was taken is replaced at once; none of the others may be made in a spin."""
    ran_s, end = _ran_s(pod, now), classify_end(pod, observed.rules)
    if end is End.DISRUPTED and find_pod_disruption(pod) is not Disruption.REFUSED:
        return 0.0
    if end is not End.COUNTED:
        return 0.0 if ran_s >= 60.0 else FIRST_DELAY_S
    bounded = pod.slot.role in BOUNDED
    failures = observed.ledger.counted if bounded else pod.incarnation - 1
    return backoff_s(observed.job.spec.run_policy.backoff, failures, ran_s)


def _ended_at(pod: PodView, now: datetime) -> datetime:
    return pod.finished_at or pod.started_at or pod.created_at or now


def _ran_s(pod: PodView, now: datetime) -> float:
    if pod.started_at is None:
        return 0.0
    return (_ended_at(pod, now) - pod.started_at).total_seconds()
