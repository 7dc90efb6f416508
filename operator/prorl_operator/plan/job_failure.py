"""When the job has failed for good."""

import re
from datetime import datetime

from prorl_operator.plan.deadlines import find_overdue
from prorl_operator.plan.failure import (
    End,
    JobFailure,
    classify_end,
    describe_end,
    fault_of,
    find_pod_disruption,
    waiting_failures,
)
from prorl_operator.plan.last_word import known_exit_code, parse_termination
from prorl_operator.plan.observed import Observed, PodView
from prorl_operator.plan.stall import stall_to_restart_for

RESTARTS_EXHAUSTED = "RestartsExhausted"
_CONDITION_REASON = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


def find_job_failure(observed: Observed, now: datetime) -> JobFailure | None:
    """None as long as replacing pods is allowed and may help."""
    for pod in observed.lost_pods():
        if classify_end(pod, observed.rules) is End.FAIL_JOB:
            return JobFailure(reason=_failure_reason(pod), message=describe_end(pod))
    return find_overdue(observed, now) or _exhausted(observed, now)


def _failure_reason(pod: PodView) -> str:
    """A final word may say anything, a condition's reason may not."""
    disruption = find_pod_disruption(pod)
    if disruption is not None:
        return disruption
    said = parse_termination(pod).reason
    return said if _CONDITION_REASON.fullmatch(said) else known_exit_code(pod).reason


def _exhausted(observed: Observed, now: datetime) -> JobFailure | None:
    limit, used = observed.job.spec.run_policy.max_restarts, observed.ledger.counted
    why = _next_restart(observed, now)
    if not why or used < limit:
        return None
    return JobFailure(
        reason=RESTARTS_EXHAUSTED,
        message=f"{why} {used} of {limit} restarts (spec.runPolicy.maxRestarts) are used up.",
    )


def _next_restart(observed: Observed, now: datetime) -> str:
    """What the next counted restart would be for; empty: none is due."""
    for pod in waiting_failures(observed):
        counted = classify_end(pod, observed.rules) is End.COUNTED
        if counted and observed.ledger.is_new(fault_of(pod, observed.rules, now)):
            return describe_end(pod)
    return stall_to_restart_for(observed, now)
