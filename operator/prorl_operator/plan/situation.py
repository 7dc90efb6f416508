"""Classify first, then act."""

from enum import Enum, auto

from prorl_api.status import ConditionType

from prorl_operator.plan.failure import End, classify_end, find_job_failure
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
    ACTIVE = auto()
    """Its pods are kept as the spec wants them."""


def classify(observed: Observed) -> Situation:
    """What has once ended never starts again."""
    if is_finished(observed):
        return Situation.FINISHED
    pod = observed.coordinator
    if pod is not None and pod.ended and classify_end(pod) is End.COMPLETE:
        return Situation.SUCCEEDED
    return Situation.FAILED if find_job_failure(observed) else Situation.ACTIVE


def is_finished(observed: Observed) -> bool:
    """By the stored status. An invalid spec is no end: a newer operator may understand it."""
    conditions = observed.stored.conditions if observed.stored else []
    final = (ConditionType.COMPLETED, ConditionType.FAILED)
    return any(
        c.type in final and c.status == "True" and c.reason != INVALID_SPEC for c in conditions
    )
