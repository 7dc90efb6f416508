"""From the watched objects to the planner's snapshot."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from prorl_api import runtime
from prorl_api.job import ProRLJob, parse_job
from prorl_api.spec_roles import Role
from prorl_api.spec_scheduling import OPERATOR
from prorl_api.status import ProRLJobStatus
from pydantic import ValidationError

from prorl_operator.build.ledger import ANNOTATION, parse_ledger
from prorl_operator.build.names import Slot
from prorl_operator.memory import Child, Fingerprint, JobMemory
from prorl_operator.plan.disruption import OWN_LIMIT, find_disruption
from prorl_operator.plan.observed import Key, PodView

Manifest = Mapping[str, Any]

LAG_LIMIT = timedelta(seconds=5)
"""How long our own write is believed over a watch that does not show it."""


class Watched(Protocol):
    """The watched objects, slim."""

    def job(self, key: Key) -> Manifest | None:
        """Without managedFields."""

    def all_keys(self) -> list[Key]:
        """All jobs."""

    def pods(self, key: Key) -> Iterable[PodView]:
        """Pods that carry the job's labels, of whatever owner."""

    def children(self, key: Key) -> Iterable[Manifest]:
        """ConfigMaps, Services, NetworkPolicies, budgets and claims with the job's labels."""


def newer(watched: Manifest | None, kind: str, name: str, memory: JobMemory) -> Manifest | None:
    """The watched object, unless our own last write is younger."""
    if (kind, name) not in memory.answers:
        return watched
    answer, _ = memory.answers[(kind, name)]
    if watched is None or _version(watched) < _version(answer):
        return answer
    del memory.answers[(kind, name)]
    return watched


def expire_answers(memory: JobMemory, now: datetime) -> None:
    """What the watch has not shown by now was deleted again."""
    old = [key for key, (_, at) in memory.answers.items() if now - at > LAG_LIMIT]
    for key in old:
        del memory.answers[key]
    for name in [name for name, (_, at) in memory.created.items() if now - at > LAG_LIMIT]:
        del memory.created[name]


def observe_pods(watched: Iterable[PodView], memory: JobMemory) -> tuple[PodView, ...]:
    """The job's own pods, with what we did to them a moment ago."""
    pods = {pod.name: pod for pod in watched if pod.owner_uid == memory.uid}
    for name in list(memory.created):
        if name in pods:
            del memory.created[name]
        else:
            pods[name] = memory.created[name][0]
    alive = {pod.uid for pod in pods.values()}
    memory.deleted = {uid: at for uid, at in memory.deleted.items() if uid in alive}
    for pod in pods.values():
        memory.saw(pod.slot, pod.incarnation)
    marked = (_marked(pod, memory.deleted.get(pod.uid)) for pod in pods.values())
    return tuple(sorted(marked, key=lambda pod: pod.name))


def observe_children(watched: Iterable[Manifest], memory: JobMemory) -> dict[Child, Manifest]:
    """By kind and name."""
    found = {(str(one["kind"]), str(one["metadata"]["name"])): one for one in watched}
    pending = {key for key in memory.answers if key[0] != "ProRLJob"}
    together = {key: newer(found.get(key), *key, memory) for key in sorted(found.keys() | pending)}
    return {key: one for key, one in together.items() if one is not None}


def fingerprint(job: ProRLJob, children: Mapping[Child, Manifest]) -> Fingerprint:
    """The same for the same spec and the very same children."""
    versions = ((key, str(one["metadata"].get("resourceVersion"))) for key, one in children.items())
    return job.metadata.generation, frozenset(versions)


def read_job(body: Manifest, memory: JobMemory) -> ProRLJob:
    """Without status. A generation is parsed once. Raises pydantic.ValidationError."""
    if memory.job is None or memory.job.metadata.generation != generation_of(body):
        memory.job = parse_job({name: part for name, part in body.items() if name != "status"})
    return memory.job


def parse_status(job: Manifest) -> ProRLJobStatus | None:
    """None where there is none, or one that this version did not write."""
    try:
        return ProRLJobStatus.model_validate(job["status"]) if job.get("status") else None
    except ValidationError:
        return None


def describe_invalid(error: ValidationError) -> str:
    """The first wrong fields, in words."""
    parts = [f"{'.'.join(str(p) for p in one['loc'])}: {one['msg']}" for one in error.errors()[:5]]
    return "This operator cannot read the job: " + "; ".join(parts) + "."


def parse_pod(body: Manifest) -> PodView | None:
    """None where the labels are not ours."""
    meta, status = body["metadata"], body.get("status") or {}
    slot = _slot(meta.get("labels") or {})
    if slot is None:
        return None
    conditions = {c["type"]: c for c in status.get("conditions") or []}
    annotations = meta.get("annotations") or {}
    reason = str(status.get("reason", ""))
    target = conditions.get("DisruptionTarget", {})
    target = target if target.get("status") == "True" else {}
    return PodView(
        name=meta["name"],
        uid=meta["uid"],
        owner_uid=owner_uid(body),
        slot=slot,
        incarnation=int(meta["labels"][runtime.LABEL_INCARNATION]),
        phase=status.get("phase", "Pending"),
        ready=conditions.get("Ready", {}).get("status") == "True",
        ip=status.get("podIP"),
        created_at=_moment(meta.get("creationTimestamp")),
        deletion_at=_moment(meta.get("deletionTimestamp")),
        told_at=_told_at(meta, target),
        node_lost=reason == "NodeLost",
        disruption=find_disruption(target.get("reason", "") if target else None, reason),
        unschedulable=_unschedulable(conditions.get("PodScheduled", {})),
        ledger=parse_ledger(annotations.get(ANNOTATION)),
        **_container(status),
    )


def owner_uid(body: Manifest) -> str:
    """UID of the controlling owner, or nothing."""
    owners = body["metadata"].get("ownerReferences") or []
    return next((str(o["uid"]) for o in owners if o.get("controller")), "")


def is_deleting(job: Manifest) -> bool:
    """Its children go by garbage collection."""
    return "deletionTimestamp" in job["metadata"]


def is_ours(job: Manifest) -> bool:
    """spec.managedBy names nobody else."""
    return bool((job.get("spec") or {}).get("managedBy", OPERATOR) == OPERATOR)


def generation_of(job: Manifest | ProRLJob) -> int:
    """metadata.generation."""
    if isinstance(job, ProRLJob):
        return job.metadata.generation
    return int(job["metadata"].get("generation", 0))


def _slot(labels: Mapping[str, str]) -> Slot | None:
    try:
        int(labels[runtime.LABEL_INCARNATION])
        return Slot(role=Role(labels[runtime.LABEL_ROLE]), index=int(labels[runtime.LABEL_INDEX]))
    except (KeyError, ValueError):
        return None


def _container(status: Manifest) -> dict[str, Any]:
    state = next(
        (
            one.get("state") or {}
            for one in status.get("containerStatuses") or []
            if one.get("name") == runtime.CONTAINER_NAME
        ),
        {},
    )
    waiting, ended = state.get("waiting") or {}, state.get("terminated") or {}
    started = ended.get("startedAt") or (state.get("running") or {}).get("startedAt")
    reason, message = ended.get("reason", ""), ended.get("message", "")
    if status.get("reason") == OWN_LIMIT or not reason:
        # An evicted container is only told to go, and may end in peace.
        reason, message = str(status.get("reason", "")), message or str(status.get("message", ""))
    return {
        "started_at": _moment(started),
        "finished_at": _moment(ended.get("finishedAt")),
        "exit_code": ended.get("exitCode"),
        "exit_reason": reason,
        "exit_message": message,
        "waiting_reason": waiting.get("reason", ""),
        "waiting_message": waiting.get("message", ""),
    }


def _told_at(meta: Manifest, target: Manifest) -> datetime | None:
    """deletionTimestamp is when the grace period ends, not when it began."""
    if target.get("lastTransitionTime"):
        return _moment(target["lastTransitionTime"])
    end = _moment(meta.get("deletionTimestamp"))
    grace_s = meta.get("deletionGracePeriodSeconds") or 0
    return end - timedelta(seconds=grace_s) if end else None


def _unschedulable(scheduled: Manifest) -> str:
    refused = scheduled.get("status") == "False" and scheduled.get("reason") == "Unschedulable"
    return str(scheduled.get("message", "")) if refused else ""


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _version(body: Manifest) -> int:
    """Comparable since Kubernetes 1.35 by contract, and in practice before."""
    return int(body["metadata"].get("resourceVersion") or 0)


def _marked(pod: PodView, deletion_at: datetime | None) -> PodView:
    if deletion_at is None or pod.leaving:
        return pod
    return replace(pod, deletion_at=deletion_at)
