"""Carries a plan out. Applying the same plan twice changes nothing."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from prorl_api import runtime
from prorl_api.base import API_VERSION, KIND
from prorl_api.job import ProRLJob
from prorl_api.spec_roles import Role
from prorl_api.status import ProRLJobStatus

from prorl_operator.build.environment import grace_s
from prorl_operator.build.ledger import ANNOTATION, Ledger, parse_ledger
from prorl_operator.build.secrets import build_tokens
from prorl_operator.errors import ApiError, JobGone
from prorl_operator.kube.client import KubeClient, Manifest
from prorl_operator.kube.observe import owner_uid
from prorl_operator.memory import JobMemory
from prorl_operator.plan.actions import (
    Action,
    ApplyObject,
    ApplyTokens,
    CreatePod,
    DeleteJob,
    DeletePod,
)
from prorl_operator.plan.disruption import Disruption
from prorl_operator.plan.observed import PodView, Problem

NAME_CONFLICT = "NameConflict"
REFUSED = "RefusedByApiServer"


class Applier:
    """The hands of the operator."""

    def __init__(self, client: KubeClient, key: bytes, clock: Callable[[], datetime]) -> None:
        self._client = client
        self._key = key
        self._clock = clock

    async def run(
        self, actions: tuple[Action, ...], job: ProRLJob, memory: JobMemory
    ) -> tuple[Problem, ...]:
        """What the API server refused, in order. Raises ApiError where repeating may help, and
        JobGone."""
        problems: list[Problem] = []
        refused: list[Ledger] = []
        if any(_asks_first(action) for action in actions):
            await self._check_job(job)
        for action in actions:
            problem = await self._try(_without(refused, action), job, memory)
            if problem is not None and isinstance(action, CreatePod):
                refused.append(action.adds)
            if problem is not None and problem not in problems:
                problems.append(problem)
        return tuple(problems)

    async def write_status(
        self, key: tuple[str, str], uid: str, status: ProRLJobStatus, memory: JobMemory
    ) -> None:
        """One server-side apply. Raises JobGone where the job is another one by now."""
        body: Manifest = {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": {"namespace": key[0], "name": key[1], "uid": uid},
            "status": status.model_dump(mode="json", by_alias=True, exclude_none=True),
        }
        try:
            answer = await self._client.apply(body, subresource="/status")
        except ApiError as error:
            if error.status in (404, 409):
                raise JobGone(f"{key[0]}/{key[1]}: {error.message}") from error
            raise
        self._remember(answer, memory)
        memory.status_written_at = self._clock()

    async def _check_job(self, job: ProRLJob) -> None:
        """Nothing is made for a job that the watch only believes in."""
        meta = job.metadata
        live = await self._client.get("ProRLJob", meta.namespace, meta.name)
        if live is None or live["metadata"]["uid"] != meta.uid:
            raise JobGone(f"{meta.namespace}/{meta.name} with UID {meta.uid} does not exist.")
        if "deletionTimestamp" in live["metadata"]:
            raise JobGone(f"{meta.namespace}/{meta.name} is being deleted.")

    async def _try(self, action: Action, job: ProRLJob, memory: JobMemory) -> Problem | None:
        try:
            return await self._do(action, job, memory)
        except ApiError as error:
            if not error.is_refusal:
                raise
            return Problem(reason=REFUSED, message=f"{_subject(action, job)}: {error.message}")

    async def _do(self, action: Action, job: ProRLJob, memory: JobMemory) -> Problem | None:
        match action:
            case ApplyTokens(for_pods=pods):
                return await self._apply_tokens(job, memory, pods)
            case ApplyObject(manifest=manifest):
                return await self._apply_object(manifest, job, memory)
            case CreatePod():
                return await self._create_pod(action, job, memory)
            case DeletePod():
                await self._delete_pod(action, job, memory)
                return None
            case DeleteJob():
                meta = job.metadata
                await self._client.delete("ProRLJob", meta.namespace, meta.name, meta.uid)
                return None

    async def _apply_tokens(
        self, job: ProRLJob, memory: JobMemory, pods: tuple[str, ...]
    ) -> Problem | None:
        manifest = build_tokens(job, self._key)
        meta = manifest["metadata"]
        live = await self._client.peek_metadata("Secret", meta["namespace"], meta["name"])
        if live is not None and owner_uid(live) != job.metadata.uid:
            return _conflict("Secret", meta["name"])
        await self._client.apply(manifest)
        memory.tokens_applied = True
        memory.tokens_reissued_for.update(pods)
        return None

    async def _apply_object(
        self, manifest: Manifest, job: ProRLJob, memory: JobMemory
    ) -> Problem | None:
        kind, meta = manifest["kind"], manifest["metadata"]
        live = await self._client.get(kind, meta["namespace"], meta["name"])
        if live is not None and not _is_ours(live, manifest, job):
            return _conflict(kind, meta["name"])
        self._remember(await self._client.apply(manifest), memory)
        return None

    async def _create_pod(
        self, action: CreatePod, job: ProRLJob, memory: JobMemory
    ) -> Problem | None:
        meta = action.manifest["metadata"]
        try:
            pod = await self._client.create(action.manifest)
        except ApiError as error:
            if error.status != 409:
                raise
            pod = await self._client.get("Pod", meta["namespace"], meta["name"]) or {}
            if not pod:
                raise  # it went in between: once more
            if owner_uid(pod) != job.metadata.uid:
                return _conflict("Pod", meta["name"])
        memory.created[meta["name"]] = (_new_view(action, pod), self._clock())
        memory.saw(action.slot, action.incarnation)
        return None

    async def _delete_pod(self, action: DeletePod, job: ProRLJob, memory: JobMemory) -> None:
        if action.once_created is not None and action.once_created not in memory.created:
            return  # the failed pod is the evidence for the count until its replacement carries it
        await self._client.delete("Pod", job.metadata.namespace, action.name, action.uid)
        grace = timedelta(seconds=max(grace_s(job, role) for role in Role))
        memory.deleted[action.uid] = self._clock() + grace

    def _remember(self, answer: Manifest, memory: JobMemory) -> None:
        answer["metadata"].pop("managedFields", None)
        key = (str(answer["kind"]), str(answer["metadata"]["name"]))
        memory.answers[key] = (answer, self._clock())


def _asks_first(action: Action) -> bool:
    """A pod that was only deleted may have gone with its job, unseen by the watch. One that bears a
    mark (evicted, preempted) has not: its replacement waits for no answer."""
    if isinstance(action, CreatePod):
        return action.disruption in (None, Disruption.DELETED, Disruption.GONE)
    return not isinstance(action, DeletePod)


def _without(refused: list[Ledger], action: Action) -> Action:
    """A replacement that was refused has not happened: no later pod may carry its count."""
    if not isinstance(action, CreatePod) or not refused:
        return action
    meta = action.manifest["metadata"]
    tally = parse_ledger(meta["annotations"][ANNOTATION])
    for adds in refused:
        tally = tally.without(adds)
    annotations = meta["annotations"] | {ANNOTATION: tally.dumps()}
    meta = meta | {"annotations": annotations}
    return replace(action, manifest=action.manifest | {"metadata": meta})


def _is_ours(live: Manifest, manifest: Manifest, job: ProRLJob) -> bool:
    if manifest["kind"] != "PersistentVolumeClaim":
        return owner_uid(live) == job.metadata.uid
    labels = live["metadata"].get("labels") or {}
    keys = (runtime.LABEL_MANAGED_BY, runtime.LABEL_JOB)
    return all(labels.get(key) == manifest["metadata"]["labels"][key] for key in keys)


def _new_view(action: CreatePod, pod: Manifest) -> PodView:
    meta = pod["metadata"]
    return PodView(
        name=meta["name"],
        uid=meta["uid"],
        owner_uid=owner_uid(pod),
        slot=action.slot,
        incarnation=action.incarnation,
        created_at=datetime.fromisoformat(meta["creationTimestamp"]),
        ledger=parse_ledger(meta["annotations"].get(ANNOTATION)),
    )


def _conflict(kind: str, name: str) -> Problem:
    message = f"{kind} {name} exists and does not belong to this job; it is left untouched."
    return Problem(reason=NAME_CONFLICT, message=message)


def _subject(action: Action, job: ProRLJob) -> str:
    match action:
        case ApplyTokens():
            return f"The Secret of job {job.metadata.name} cannot be written"
        case ApplyObject(manifest=manifest) | CreatePod(manifest=manifest):
            return f"{manifest['kind']} {manifest['metadata']['name']} cannot be created"
        case DeletePod(name=name):
            return f"Pod {name} cannot be deleted"
        case DeleteJob():
            return f"The job {job.metadata.name} cannot be deleted"
