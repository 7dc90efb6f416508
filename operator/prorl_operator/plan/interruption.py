"""Conditions of a training that is held up: Disrupted (pods were taken) and Stalled."""

from collections.abc import Iterator
from datetime import datetime

from prorl_api.spec_roles import Role
from prorl_api.status import ConditionType, Phase, Roles

from prorl_operator.build.config import slots
from prorl_operator.plan.conditions import Reason, Verdict
from prorl_operator.plan.disruption import Disruption
from prorl_operator.plan.failure import fault_of, find_pod_disruption
from prorl_operator.plan.observed import Observed
from prorl_operator.plan.pods import existed
from prorl_operator.plan.stall import describe_stall

NAMED = 5
"""Pods that the message names."""


def stalled(observed: Observed, now: datetime) -> list[Verdict]:
    """Nothing where there never was a stall."""
    kind, message = ConditionType.STALLED, describe_stall(observed, now)
    if message:
        return [Verdict(type=kind, status=True, reason=Reason.NO_STEP_FINISHED, message=message)]
    if observed.said(kind) is None:
        return []
    message = "Training has moved since."
    return [Verdict(type=kind, status=False, reason=Reason.MOVING, message=message)]


def disrupted(observed: Observed, phase: Phase, roles: Roles, now: datetime) -> list[Verdict]:
    """Nothing where there never was a disruption."""
    kind = ConditionType.DISRUPTED
    lost = list(_lost_pods(observed, now))
    if lost:
        return [Verdict(type=kind, status=True, reason=lost[0][1], message=_name(lost))]
    before = observed.said(kind)
    if before is None:
        return []
    if before.status == "False" or not _all_back(phase, roles):
        status = before.status == "True"
        return [Verdict(type=kind, status=status, reason=before.reason, message=before.message)]
    message = f"All pods are ready again. Before: {before.message}"
    return [Verdict(type=kind, status=False, reason=Reason.ALL_READY, message=message)]


def _name(lost: list[tuple[str, Disruption]]) -> str:
    names = ", ".join(f"{name} ({why})" for name, why in lost[:NAMED])
    rest = len(lost) - NAMED
    return f"Gone or going: {names}{f' and {rest} more' if rest > 0 else ''}."


def _lost_pods(observed: Observed, now: datetime) -> Iterator[tuple[str, Disruption]]:
    for slot in slots(observed.job.spec):
        pod = observed.newest(slot)
        if pod is None:
            if existed(slot, observed):
                yield slot.host_name, Disruption.GONE
            continue
        if not (pod.ended or pod.leaving):
            continue  # it may be marked already; the deletion that follows can still be refused
        why = find_pod_disruption(pod)
        if why is not None and observed.ledger.is_new(fault_of(pod, observed.rules, now)):
            yield pod.name, why


def _all_back(phase: Phase, roles: Roles) -> bool:
    each = [getattr(roles, role.value) for role in Role]
    return phase is Phase.RUNNING and all(one.ready >= one.desired for one in each)
