"""Which pods to make and which to delete."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from prorl_api.spec_roles import Role

from prorl_operator.build.config import slots
from prorl_operator.build.environment import grace_s
from prorl_operator.build.ledger import BOUNDED, Cause, Fault, Ledger
from prorl_operator.build.names import Slot
from prorl_operator.build.pods import build_pod
from prorl_operator.plan.actions import Action, CreatePod, DeletePod, EventReason, PlannedEvent
from prorl_operator.plan.disruption import Disruption
from prorl_operator.plan.observed import COORDINATOR, Observed, PodView
from prorl_operator.plan.restart import Decision, Keep, Replace, Wait, decide
from prorl_operator.plan.stall import stall_to_restart_for
from prorl_operator.plan.trainers import goes_along, trainers_follow

LONGEST_REASON = 800
"""Characters of a pod's own words in an Event, whose note is cut at 1024."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PodPlan:
    """Part of a plan; `ledger` is the tally after it."""

    ledger: Ledger
    actions: tuple[Action, ...] = ()
    events: tuple[PlannedEvent, ...] = ()
    requeue_after_s: float | None = None

    def later(self, seconds: float) -> "PodPlan":
        """Looks again after the shortest wait."""
        known = self.requeue_after_s
        return replace(self, requeue_after_s=seconds if known is None else min(known, seconds))


def plan_pods(observed: Observed, now: datetime) -> PodPlan:
    """Keeps exactly one pod of the newest incarnation in every slot."""
    wanted = slots(observed.job.spec)
    plan = PodPlan(ledger=observed.ledger)
    stall, first = stall_to_restart_for(observed, now), trainers_follow(observed, now)
    for slot in wanted:
        if stall and slot.role in BOUNDED:
            plan = _restart(plan, slot, observed, stall, now)
        elif first is not None and goes_along(slot, observed, first):
            decision = Replace(why=f"is restarted with {first.pod.slot.host_name}")
            plan = _create(plan, slot, observed, decision)
        else:
            plan = _plan_slot(plan, slot, observed, now)
    keep = {id(pod) for slot in wanted if (pod := observed.newest(slot)) is not None}
    surplus = (pod for pod in observed.pods if id(pod) not in keep)
    return replace(plan, actions=plan.actions + deletions(surplus))


def deletions(pods: Iterable[PodView]) -> tuple[Action, ...]:
    """Of those that nobody has asked to leave yet; highest index first."""
    going = [pod for pod in pods if not pod.leaving]
    going.sort(key=lambda pod: (pod.slot.role, -pod.slot.index, pod.incarnation))
    return tuple(DeletePod(name=pod.name, uid=pod.uid) for pod in going)


def _plan_slot(plan: PodPlan, slot: Slot, observed: Observed, now: datetime) -> PodPlan:
    pod = observed.newest(slot)
    decision = _vanished(slot, observed, now) if pod is None else decide(pod, observed, now)
    match decision:
        case Keep():
            return plan
        case Wait(seconds=seconds):
            return plan.later(seconds)
        case Replace():
            return _create(plan, slot, observed, decision)


def _restart(plan: PodPlan, slot: Slot, observed: Observed, why: str, now: datetime) -> PodPlan:
    """Of a pod that runs. The coordinator's replacement waits for its end, as always; the trainers
    that are made now carry the count."""
    pod = observed.newest(slot)
    assert pod is not None
    if slot == COORDINATOR:
        return replace(plan, actions=plan.actions + deletions([pod]))
    fault = Fault(role=slot.role, cause=Cause.FAILURE, at=now, pod_since=pod.created_at)
    return _create(plan, slot, observed, Replace(fault=fault, why=f"is stopped. {why}"))


def _vanished(slot: Slot, observed: Observed, now: datetime) -> Decision:
    """No pod at all: never made, or gone without a trace."""
    if not existed(slot, observed):
        return Replace()
    told = now - timedelta(seconds=grace_s(observed.job, slot.role))
    fault = Fault(role=slot.role, cause=Cause.DELETION, at=now, at_earliest=told)
    return Replace(fault=fault, why="is gone", disruption=Disruption.GONE)


def existed(slot: Slot, observed: Observed) -> bool:
    """The slot has had a pod, which is to be replaced if it is not there."""
    if observed.resuming:
        return False
    if slot == COORDINATOR:
        return observed.attempt > 0
    if observed.incarnations.get(slot, 0):
        return True
    started = observed.stored is not None and observed.stored.start_time is not None
    return started and slot.role is Role.TRAINER


def _create(plan: PodPlan, slot: Slot, observed: Observed, decision: Replace) -> PodPlan:
    old, fault = observed.newest(slot), decision.fault
    ledger = plan.ledger if fault is None else plan.ledger.with_fault(fault)
    adds = ledger.without(plan.ledger)
    incarnation = next_incarnation(slot, observed)
    manifest = build_pod(
        observed.job_with_status,
        slot,
        incarnation,
        default_image=observed.default_image_of(slot.role),
        ledger=ledger,
    )
    create = CreatePod(
        slot=slot,
        incarnation=incarnation,
        manifest=manifest,
        adds=adds,
        disruption=decision.disruption,
    )
    actions: list[Action] = [create]
    if old is not None and not old.leaving:
        name = manifest["metadata"]["name"]
        actions.append(DeletePod(name=old.name, uid=old.uid, once_created=name))
    event = _replacement_event(slot, incarnation, old, decision)
    return replace(
        plan,
        ledger=ledger,
        actions=plan.actions + tuple(actions),
        events=plan.events + ((event,) if decision.why else ()),
    )


def next_incarnation(slot: Slot, observed: Observed) -> int:
    """One more than any that was ever seen; for the coordinator this is the attempt."""
    pod = observed.newest(slot)
    seen = max(observed.incarnations.get(slot, 0), pod.incarnation if pod else 0)
    return 1 + (max(seen, observed.attempt) if slot == COORDINATOR else seen)


def _replacement_event(
    slot: Slot, incarnation: int, old: PodView | None, decision: Replace
) -> PlannedEvent:
    subject = f"Pod {old.name}" if old else f"The pod of {slot.host_name}"
    words = decision.why[:LONGEST_REASON].rstrip(".")
    restarted = slot.role is Role.COORDINATOR
    return PlannedEvent(
        reason=EventReason.RESTARTED if restarted else EventReason.POD_REPLACED,
        note=f"{subject} {words}; incarnation {incarnation} replaces it.",
        identity=f"{slot.host_name}-{incarnation}",
        warning=decision.fault is not None and decision.fault.cause is Cause.FAILURE,
    )
