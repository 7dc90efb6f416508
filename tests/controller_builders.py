"""Builders of the planner's world, and what the API server and the kubelet would make of a plan."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from prorl_api.job import ProRLJob, parse_job
from prorl_api.spec_roles import Role
from prorl_api.status import (
    CheckpointStatus,
    Condition,
    Phase,
    Progress,
    ProRLJobStatus,
    ReferenceStatus,
)
from prorl_api.wire import RoleCount, Stage, StatusDocument
from prorl_operator.build.config import slots
from prorl_operator.build.ledger import Ledger
from prorl_operator.build.names import Slot, pod_name
from prorl_operator.kube.observe import parse_pod
from prorl_operator.plan.actions import (
    Action,
    ApplyObject,
    ApplyTokens,
    CreatePod,
    DeleteJob,
    DeletePod,
    Plan,
)
from prorl_operator.plan.observed import Observed, PodView
from prorl_operator.plan.plan import desired_objects, make_plan

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
UID = "job-uid"
IMAGE = "registry.example/trainer:1"
GRACE = timedelta(seconds=60)

COORDINATOR = Slot(role=Role.COORDINATOR, index=0)
TRAINER = Slot(role=Role.TRAINER, index=0)
ROLLOUT = Slot(role=Role.ROLLOUT, index=0)
VERIFIER = Slot(role=Role.VERIFIER, index=0)
EVERY_SLOT = [COORDINATOR, TRAINER, ROLLOUT, VERIFIER]
"""Of the least job."""
LEAST_DATA = {"name": "a", "domain": "logic", "uri": "gym://reasoning-gym/spell_backward?size=10"}


def ago(seconds: float) -> datetime:
    """That long before NOW."""
    return NOW - timedelta(seconds=seconds)


def text(moment: datetime) -> str:
    """As Kubernetes writes it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def make_job(*, name: str = "q", generation: int = 1, **spec: Any) -> ProRLJob:
    """The least job; `spec` is in camelCase, as in a manifest."""
    base: dict[str, Any] = {"model": {"uri": "tiny://llama"}, "data": {"train": [LEAST_DATA]}}
    metadata = {"name": name, "namespace": "team", "uid": UID, "generation": generation}
    return parse_job({"metadata": metadata, "spec": base | spec})


def make_pod_view(slot: Slot = TRAINER, incarnation: int = 1, **values: Any) -> PodView:
    """A pod that has been running well for an hour."""
    name = pod_name("q", slot, incarnation)
    defaults: dict[str, Any] = {
        "name": name,
        "uid": f"uid-of-{name}",
        "owner_uid": UID,
        "slot": slot,
        "incarnation": incarnation,
        "phase": "Running",
        "ready": True,
        "ip": "10.0.0.1",
        "created_at": ago(3610),
        "started_at": ago(3600),
    }
    return PodView(**(defaults | values))


def make_ended(slot: Slot = TRAINER, code: int | None = 1, **values: Any) -> PodView:
    """A pod that ended this very second; it ran for an hour."""
    defaults: dict[str, Any] = {
        "phase": "Failed" if code else "Succeeded",
        "ready": False,
        "exit_code": code,
        "finished_at": NOW,
    }
    return make_pod_view(slot, **(defaults | values))


def make_word(**values: Any) -> str:
    """A container's termination message."""
    defaults = {"outcome": "Failed", "exitCode": 11, "reason": "Data", "message": "Row 3 is bad."}
    return json.dumps(defaults | values)


def make_document(stage: Stage = Stage.TRAINING, **values: Any) -> StatusDocument:
    """A coordinator that has done 7 of 2000 steps and saved 5."""
    defaults: dict[str, Any] = {
        "job_uid": UID,
        "attempt": 1,
        "stage": stage,
        "ray_session": "s",
        "progress": Progress(step=7, total_steps=2000, reward_mean=0.5, kl=0.01),
        "checkpoint": make_checkpoint(5),
        "reference": ReferenceStatus(version=0, next_reset_step=400),
        "trainers": RoleCount(wanted=1, usable=1),
        "engines": RoleCount(wanted=1, usable=1),
        "spec_hash": "h",
        "generation": 1,
    }
    return StatusDocument(**(defaults | values))


def make_checkpoint(step: int) -> CheckpointStatus:
    """A durable checkpoint."""
    uri = f"pvc://q-checkpoints/q/checkpoints/step-{step:08d}"
    return CheckpointStatus(last_step=step, last_time=text(ago(60)), uri=uri, size_bytes=9)


def make_status(**values: Any) -> ProRLJobStatus:
    """What was stored while the coordinator of `make_document` trained."""
    document = make_document()
    defaults: dict[str, Any] = {
        "observed_generation": 1,
        "phase": Phase.RUNNING,
        "start_time": text(ago(3600)),
        "progress": document.progress,
        "checkpoint": document.checkpoint,
        "reference": document.reference,
    }
    return ProRLJobStatus(**(defaults | values))


def make_condition(kind: str, *, status: str = "True", **values: Any) -> Condition:
    """Since an hour."""
    defaults = {"reason": "Because", "message": "So.", "last_transition_time": text(ago(3600))}
    return Condition(type=kind, status=status, **(defaults | values))


def make_observed(*pods: PodView, job: ProRLJob | None = None, **values: Any) -> Observed:
    """A job whose objects are all there and whose missing pods run; `pods` replace them by slot."""
    job = job or make_job()
    taken = {pod.slot for pod in pods}
    others = [make_pod_view(slot) for slot in slots(job.spec) if slot not in taken]
    everyone = sorted((*pods, *others), key=lambda pod: pod.incarnation)
    defaults: dict[str, Any] = {
        "job": job,
        "pods": (*pods, *others),
        "incarnations": {pod.slot: pod.incarnation for pod in everyone},
        "children": children_of(job),
        "document": make_document(),
        "tokens_applied": True,
        "default_image": IMAGE,
    }
    return Observed(**(defaults | values))


def make_converged(*pods: PodView, **values: Any) -> Observed:
    """With the status stored that follows from the rest."""
    return settle(make_observed(*pods, **values))


def children_of(job: ProRLJob) -> dict[tuple[str, str], dict[str, Any]]:
    """ConfigMap, Services and claim as the API server shows them."""
    return {_child_key(one): _as_stored(one) for one in desired_objects(Observed(job=job))}


def carry_out(observed: Observed, plan: Plan, now: datetime = NOW) -> Observed:
    """The world after the plan, before any container has started or ended."""
    after = observed
    for action in plan.actions:
        after = _after(after, action, now)
    return replace(after, stored=stored_form(plan.status))


def settle(observed: Observed, now: datetime = NOW, passes: int = 5) -> Observed:
    """After so many passes at the same moment."""
    for _ in range(passes):
        observed = carry_out(observed, make_plan(observed, now), now)
    return observed


def stored_form(status: ProRLJobStatus) -> ProRLJobStatus:
    """Through JSON, as the API server gives it back."""
    body = status.model_dump(mode="json", by_alias=True, exclude_none=True)
    return ProRLJobStatus.model_validate(json.loads(json.dumps(body)))


def counts(tally: Ledger) -> Ledger:
    """Without its moments."""
    return replace(tally, last={})


def new_pod(action: CreatePod, now: datetime = NOW) -> PodView:
    """The pod of a CreatePod, read back as the watch shows it."""
    name = action.manifest["metadata"]["name"]
    meta = action.manifest["metadata"] | {"uid": f"uid-of-{name}", "creationTimestamp": text(now)}
    pod = parse_pod(action.manifest | {"metadata": meta, "status": {"phase": "Pending"}})
    assert pod is not None
    return pod


def _after(observed: Observed, action: Action, now: datetime) -> Observed:
    match action:
        case ApplyTokens(for_pods=pods):
            reissued = observed.tokens_reissued_for | set(pods)
            return replace(observed, tokens_applied=True, tokens_reissued_for=reissued)
        case ApplyObject(manifest=manifest):
            children = {**observed.children, _child_key(manifest): _as_stored(manifest)}
            return replace(observed, children=children)
        case CreatePod(slot=slot, incarnation=incarnation):
            assert incarnation > observed.incarnations.get(slot, 0)
            pod, seen = new_pod(action, now), {**observed.incarnations, slot: incarnation}
            assert pod.name not in {one.name for one in observed.pods}
            return replace(observed, pods=(*observed.pods, pod), incarnations=seen)
        case DeleteJob():
            return observed
        case DeletePod(uid=uid):
            end = now + GRACE
            pods = (replace(p, deletion_at=end) if p.uid == uid else p for p in observed.pods)
            return replace(observed, pods=tuple(pods))


def _child_key(manifest: dict[str, Any]) -> tuple[str, str]:
    return manifest["kind"], manifest["metadata"]["name"]


def _as_stored(manifest: dict[str, Any]) -> dict[str, Any]:
    """With fields that the API server adds."""
    stored = json.loads(json.dumps(manifest))
    stored["metadata"] |= {"resourceVersion": "1", "creationTimestamp": text(ago(3700))}
    return dict(stored)
