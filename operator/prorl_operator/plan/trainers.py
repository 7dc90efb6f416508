"""The action RestartTrainers: the other trainers go with the pod that a rule is about."""

from dataclasses import dataclass
from datetime import datetime

from prorl_api.spec_failure import FailureAction
from prorl_api.spec_roles import Role

from prorl_operator.build.names import Slot
from prorl_operator.plan.failure import find_pod_disruption
from prorl_operator.plan.observed import Observed, PodView
from prorl_operator.plan.restart import Replace, decide
from prorl_operator.plan.rules import find_rule


@dataclass(frozen=True, kw_only=True, slots=True)
class First:
    """The pod whose end restarts the trainers, and when it ended."""

    pod: PodView
    at: datetime


def trainers_follow(observed: Observed, now: datetime) -> First | None:
    """None, or the pod that is replaced in this very pass."""
    for pod in observed.lost_pods():
        rule = find_rule(pod, find_pod_disruption(pod), observed.rules)
        if rule is None or rule.action is not FailureAction.RESTART_TRAINERS:
            continue
        decision = decide(pod, observed, now)
        if isinstance(decision, Replace) and decision.fault is not None:
            return First(pod=pod, at=decision.fault.at)
    return None


def goes_along(slot: Slot, observed: Observed, first: First) -> bool:
    """A trainer that was there when the first one ended, and still runs."""
    pod = observed.newest(slot)
    if slot.role is not Role.TRAINER or pod is None or not pod.running:
        return False
    return pod.created_at is not None and pod.created_at < first.at
