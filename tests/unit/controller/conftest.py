"""An API server in memory, and an operator at work on it."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from controller_builders import (
    EVERY_SLOT,
    NOW,
    make_document,
    make_job,
    make_pod_view,
)
from prorl_api.commands import Command
from prorl_api.status import Progress
from prorl_api.wire import StatusDocument
from prorl_operator.build.names import Slot
from prorl_operator.errors import ApiError
from prorl_operator.handlers import CHILDREN
from prorl_operator.kube.apply import Applier
from prorl_operator.kube.client import Manifest
from prorl_operator.kube.events import Recorder
from prorl_operator.kube.observe import parse_pod
from prorl_operator.link.coordinator import Target
from prorl_operator.memory import Memories
from prorl_operator.metrics import Metrics
from prorl_operator.plan.observed import Key, PodView
from prorl_operator.reconcile import Reconciler
from prorl_operator.settings import Settings

KEY = ("team", "q")


class FakeApi:
    """Objects of one namespace. Names in `refused` may not be written, and why."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], Manifest] = {}
        self.refused: dict[str, ApiError] = {}
        self.writes: list[str] = []
        self._version = 0

    def put(self, kind: str, name: str, **parts: Any) -> Manifest:
        """As somebody else would make it."""
        meta = {"name": name, "namespace": "team", "uid": f"uid-of-{name}"}
        body = {"kind": kind, **parts, "metadata": meta | parts.get("metadata", {})}
        return self._store(body)

    def refuse(self, name: str, status: int = 403, message: str = "exceeded quota") -> None:
        self.refused[name] = ApiError(status=status, reason="Forbidden", message=message)

    def names(self, kind: str) -> list[str]:
        return sorted(name for one, name in self.objects if one == kind)

    async def get(self, kind: str, namespace: str, name: str) -> Manifest | None:
        return copy.deepcopy(self.objects.get((kind, name)))

    async def peek_metadata(self, kind: str, namespace: str, name: str) -> Manifest | None:
        body = await self.get(kind, namespace, name)
        return {"metadata": body["metadata"]} if body else None

    async def create(self, manifest: Manifest) -> Manifest:
        kind, name = manifest["kind"], manifest["metadata"]["name"]
        self._write("create", kind, name)
        if (kind, name) in self.objects:
            raise ApiError(status=409, reason="AlreadyExists", message=f"{name} exists")
        return self._store(manifest)

    async def apply(self, manifest: Manifest, *, subresource: str = "") -> Manifest:
        kind, name = manifest["kind"], manifest["metadata"]["name"]
        self._write(f"apply{subresource}", kind, name)
        old = self.objects.get((kind, name)) or {"metadata": {}}
        return self._store(old | manifest | {"metadata": old["metadata"] | manifest["metadata"]})

    async def delete(self, kind: str, namespace: str, name: str, uid: str) -> None:
        self._write("delete", kind, name)
        if (found := self.objects.get((kind, name))) and found["metadata"]["uid"] == uid:
            del self.objects[kind, name]

    def _write(self, verb: str, kind: str, name: str) -> None:
        self.writes.append(f"{verb} {kind} {name}")
        if name in self.refused:
            raise self.refused[name]

    def _store(self, body: Manifest) -> Manifest:
        name = body["metadata"]["name"]
        meta = {"uid": f"uid-of-{name}", "creationTimestamp": "2026-01-01T12:00:00Z"}
        stored = copy.deepcopy(body) | {"metadata": copy.deepcopy(meta | body["metadata"])}
        self._version += 1
        stored["metadata"]["resourceVersion"] = str(self._version)
        self.objects[body["kind"], name] = stored
        return copy.deepcopy(stored)


@pytest.fixture
def api() -> FakeApi:
    """With the job q of controller_builders in it."""
    one = FakeApi()
    job = make_job().model_dump(mode="json", by_alias=True)
    one.put("ProRLJob", "q", metadata=job["metadata"], spec=job["spec"])
    return one


@dataclass(kw_only=True)
class Watch:
    """Shows at once what the API server has, and pods as the kubelet has changed them."""

    api: Any
    kubelet: dict[Slot, PodView] = field(default_factory=dict)
    stale: dict[str, Any] | None = None
    """A job that the API server no longer has."""

    def job(self, key: Key) -> dict[str, Any] | None:
        return self.stale or self.api.objects.get(("ProRLJob", key[1]))

    def all_keys(self) -> list[Key]:
        return [KEY]

    def pods(self, key: Key) -> Iterator[PodView]:
        for name in self.api.names("Pod"):
            view = parse_pod(self.api.objects["Pod", name])
            assert view is not None
            changed = self.kubelet.get(view.slot)
            yield changed if changed and changed.name == view.name else view

    def children(self, key: Key) -> list[dict[str, Any]]:
        return [one for (kind, _), one in self.api.objects.items() if kind in CHILDREN]


@dataclass(kw_only=True)
class Link:
    """What the coordinator says, and whom the operator asks."""

    said: StatusDocument | None = None
    target: Target | None = None
    refusing: bool = False
    command: Command | None = None
    forgotten: list[Key] = field(default_factory=list)

    def document(self, key: Key) -> StatusDocument | None:
        return self.said

    def refuses(self, key: Key) -> bool:
        return self.refusing

    def follow(self, key: Key, target: Target | None) -> None:
        self.target = target

    def ask(self, key: Key, commands: tuple[Command, ...]) -> None:
        self.commands = commands

    def forget(self, key: Key) -> None:
        self.forgotten.append(key)


class World:
    """An operator before its first pass over the job q."""

    key = b"k" * 32

    def __init__(self, api: Any) -> None:
        self.api, self.now = api, NOW
        self.watch, self.link, self.metrics = Watch(api=api), Link(), Metrics()
        self.restart()

    def restart(self) -> None:
        """A new process: it remembers nothing."""
        self.reconciler = Reconciler(
            settings=Settings(key=self.key),
            watched=self.watch,
            applier=Applier(self.api, self.key, self.clock),
            recorder=Recorder(self.api, "tests", self.clock),
            link=self.link,  # type: ignore[arg-type]
            metrics=self.metrics,
            clock=self.clock,
            memories=Memories(),
        )

    def clock(self) -> datetime:
        return self.now

    async def reconcile(self, *, after_s: float = 0.0) -> float | None:
        self.now += timedelta(seconds=after_s)
        self.api.writes.clear()
        return await self.reconciler.reconcile(KEY)

    async def start(self) -> None:
        """Everything runs and trains, and nothing is left to do."""
        await self.reconcile()
        self.watch.kubelet |= {slot: make_pod_view(slot) for slot in EVERY_SLOT}
        self.link.said = make_document()
        await self.reconcile(after_s=60)

    def change_spec(self, **fields: Any) -> None:
        """As the API server does it. None: the field goes."""
        job = copy.deepcopy(self.api.objects["ProRLJob", "q"])
        spec = {key: value for key, value in (job["spec"] | fields).items() if value is not None}
        job["metadata"]["generation"] += 1
        self.api.put(**job | {"name": "q", "spec": spec})

    def trains(self, step: int) -> None:
        self.link.said = make_document(progress=Progress(step=step, total_steps=2000))

    @property
    def status(self) -> dict[str, Any]:
        return dict(self.api.objects["ProRLJob", "q"]["status"])

    @property
    def events(self) -> list[str]:
        return [b["reason"] for (kind, _), b in self.api.objects.items() if kind == "Event"]


@pytest.fixture
def world(api: Any) -> World:
    return World(api)
