"""Classify first, then act."""

from datetime import datetime
from enum import Enum, auto

from prorl_api.status import ConditionType

from prorl_operator.plan.failure import End, classify_end
from prorl_operator.plan.job_failure import find_job_failure
from prorl_operator.plan.observed import Observed

INVALID_SPEC = "InvalidSpec"


class Situation(Enum):
    """What kind of moment of a job's life this is."""

    FINISHED = auto()
    """It has ended, and status says so."""
    SUCCEEDED = auto()
    """It has just ended well."""
    FAILED = auto()
    """It has just failed for good."""
    SUSPENDING = auto()
    """Its pods are on their way out, in order."""
    SUSPENDED = auto()
    """It has no pods, and wants none."""
    ACTIVE = auto()
    """Its pods are kept as the spec wants them."""


def classify(observed: Observed, now: datetime) -> Situation:
    """What has once ended never starts again."""
    if is_finished(observed):
        return Situation.FINISHED
    pod = observed.coordinator
    # A rule about deleted pods does not mean those that a suspension deletes.
    rules = () if observed.suspension_wanted else observed.rules
    end = classify_end(pod, rules) if pod is not None and pod.ended else None
    if end is End.COMPLETE:
        return Situation.SUCCEEDED
    # What else ends while the pods go is the suspension's doing: nothing is replaced or counted.
    if observed.suspension_wanted and end is not End.FAIL_JOB:
        return Situation.SUSPENDING if observed.pods else Situation.SUSPENDED
    return Situation.FAILED if find_job_failure(observed, now) else Situation.ACTIVE


def is_finished(observed: Observed) -> bool:
    """By the stored status. An invalid spec is no end: a newer operator may understand it."""
    conditions = observed.stored.conditions if observed.stored else []
    final = (ConditionType.COMPLETED, ConditionType.FAILED)
    return any(
        c.type in final and c.status == "True" and c.reason != INVALID_SPEC for c in conditions
    )
