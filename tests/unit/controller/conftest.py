"""An API server in memory, for what reads and writes through prorl_operator.kube."""

import copy
from typing import Any

import pytest
from controller_builders import make_job
from prorl_operator.errors import ApiError
from prorl_operator.kube.client import Manifest


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
