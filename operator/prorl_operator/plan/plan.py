"""Observed -> Plan. Pure: the clock is passed in, nothing is read or written."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from prorl_api.status import ConditionType, Phase, ProRLJobStatus

from prorl_operator.build.config import build_config
from prorl_operator.build.disruption_budget import KIND as BUDGET
from prorl_operator.build.disruption_budget import build_disruption_budgets
from prorl_operator.build.names import Manifest
from prorl_operator.build.network import build_network_policies
from prorl_operator.build.services import build_headless_service, build_verifier_service
from prorl_operator.build.storage import build_claim
from prorl_operator.plan import conditions
from prorl_operator.plan.actions import Action, ApplyObject, ApplyTokens, Plan
from prorl_operator.plan.commands import wanted_commands
from prorl_operator.plan.covers import covers
from prorl_operator.plan.deadlines import deadlines
from prorl_operator.plan.events import transition_events
from prorl_operator.plan.failure import JobFailure
from prorl_operator.plan.finish import clear_pods, expire, expires_at
from prorl_operator.plan.observed import Observed, PodView
from prorl_operator.plan.pods import PodPlan, plan_pods
from prorl_operator.plan.situation import INVALID_SPEC, Situation, classify
from prorl_operator.plan.stall import stall_at
from prorl_operator.plan.status import derive_status
from prorl_operator.plan.suspend import plan_suspension

STUCK_AFTER = timedelta(seconds=20)
"""A scheduled pod without container for so long may be waiting for its Secret."""


def make_plan(observed: Observed, now: datetime) -> Plan:
    """What one pass does for this job."""
    situation = classify(observed, now)
    status = derive_status(observed, situation, now)
    if situation is Situation.SUSPENDING:
        going = plan_suspension(observed, now)
        return Plan(
            actions=going.actions,
            status=status,
            events=tuple(transition_events(observed.stored, status)),
            commands=going.commands,
            requeue_after_s=going.requeue_after_s,
        )
    if situation is Situation.FINISHED:
        return _after_the_end(observed, status, now)
    pods = _pods_of(situation, observed, now)
    objects = tuple(_objects(observed, now)) if situation is Situation.ACTIVE else ()
    moments = _awaited(observed, now) if situation is Situation.ACTIVE else []
    return Plan(
        settled=situation is Situation.ACTIVE and not any(_is_repair(one) for one in objects),
        actions=(*objects, *pods.actions),
        status=status,
        events=(*pods.events, *transition_events(observed.stored, status)),
        commands=wanted_commands(observed, status) if situation is Situation.ACTIVE else (),
        requeue_after_s=_earliest(
            pods.requeue_after_s,
            _problem_retry_s(observed),
            _stuck_check_s(observed, now),
            _seconds_until(moments, now),
        ),
    )


def _after_the_end(observed: Observed, status: ProRLJobStatus, now: datetime) -> Plan:
    gone = expire(observed, now)
    at = expires_at(observed)
    return Plan(
        actions=gone or clear_pods(Situation.FINISHED, observed),
        status=status,
        events=tuple(transition_events(observed.stored, status)),
        requeue_after_s=None if at is None else _seconds_until([at], now),
    )


def _awaited(observed: Observed, now: datetime) -> list[datetime]:
    """Moments at which time alone changes what is to be done."""
    stall = stall_at(observed, now)
    return [*deadlines(observed, now), *([] if stall is None else [stall])]


def _seconds_until(moments: list[datetime], now: datetime) -> float | None:
    """Those that have passed have had their effect."""
    return _earliest(*((at - now).total_seconds() for at in moments if at > now))


def invalid_plan(
    *, message: str, generation: int, stored: ProRLJobStatus | None, now: datetime
) -> Plan:
    """A stored job that this operator cannot read: say so, touch nothing."""
    verdict = conditions.failed(JobFailure(reason=INVALID_SPEC, message=message))
    kept = stored or ProRLJobStatus(attempt=0)
    others = [c for c in kept.conditions if c.type != ConditionType.FAILED]
    settled = conditions.settle([verdict], stored, generation, now)
    update = {
        "observed_generation": generation,
        "phase": Phase.FAILED,
        "conditions": [*others, *settled],
    }
    status = kept.model_copy(update=update)
    return Plan(status=status, events=tuple(transition_events(stored, status)))


def _pods_of(situation: Situation, observed: Observed, now: datetime) -> PodPlan:
    if situation is Situation.ACTIVE:
        return plan_pods(observed, now)
    return PodPlan(ledger=observed.ledger, actions=clear_pods(situation, observed))


def _objects(observed: Observed, now: datetime) -> Iterator[Action]:
    stuck = tuple(
        pod.name
        for pod in sorted(observed.pods, key=lambda pod: pod.name)
        if (at := _misses_tokens_at(pod, observed)) is not None and now >= at
    )
    if stuck or not observed.tokens_applied:
        yield ApplyTokens(for_pods=stuck)
    if observed.settled:
        return
    for manifest in desired_objects(observed):
        actual = observed.children.get((manifest["kind"], manifest["metadata"]["name"]))
        if not _is_as_wanted(manifest, actual):
            yield ApplyObject(manifest=manifest)


def _is_repair(action: Action) -> bool:
    return isinstance(action, ApplyObject)


def desired_objects(observed: Observed) -> list[Manifest]:
    """ConfigMap, Services, NetworkPolicies, where evictions are refused a PodDisruptionBudget, and,
    where the job brings none, the checkpoint claim."""
    job = observed.job
    claim = build_claim(job)
    objects = [build_config(job), build_headless_service(job), build_verifier_service(job)]
    objects += build_network_policies(job)
    has_budget = (BUDGET, job.metadata.name) in observed.children
    objects += build_disruption_budgets(job, has_one=has_budget)
    return [*objects, claim] if claim else objects


def _is_as_wanted(manifest: Manifest, actual: object) -> bool:
    if manifest["kind"] == "PersistentVolumeClaim" and actual is not None:
        return covers(actual, {"metadata": {"labels": manifest["metadata"]["labels"]}})
    return covers(actual, manifest)


def _misses_tokens_at(pod: PodView, observed: Observed) -> datetime | None:
    """When a pod that still has no container becomes suspicious; once per pod."""
    if pod.phase != "Pending" or pod.leaving or pod.unschedulable or pod.created_at is None:
        return None
    creating = pod.waiting_reason == "ContainerCreating"
    known = pod.name in observed.tokens_reissued_for
    return pod.created_at + STUCK_AFTER if creating and not known else None


def _stuck_check_s(observed: Observed, now: datetime) -> float | None:
    moments = (_misses_tokens_at(pod, observed) for pod in observed.pods)
    return _earliest(*(max(1.0, (at - now).total_seconds()) for at in moments if at is not None))


PROBLEM_RETRY_S = 15.0


def _problem_retry_s(observed: Observed) -> float | None:
    """Nobody tells us when a quota or a foreign object has gone."""
    return PROBLEM_RETRY_S if observed.problems else None


def _earliest(*delays: float | None) -> float | None:
    return min((delay for delay in delays if delay is not None), default=None)
