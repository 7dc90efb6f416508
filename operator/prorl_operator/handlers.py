"""kopf as the source of events, nothing else: an event becomes a key in the queue.

The only importer of kopf besides __main__. No handler writes, so kopf leaves no annotation,
finalizer or Event on anything. All are coroutines: kopf runs others in threads, which costs more
than what they do.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import kopf
from prorl_api import runtime
from prorl_api.base import KIND

from prorl_operator.kube.observe import parse_pod
from prorl_operator.kube.urgency import GATHER_S, job_pause_s, pod_pause_s
from prorl_operator.plan.observed import Key, PodView

JOBS = ("prorl.dev", "v1alpha1", "prorljobs")
PODS = ("", "v1", "pods")
CHILDREN = {
    "Service": ("", "v1", "services"),
    "ConfigMap": ("", "v1", "configmaps"),
    "PersistentVolumeClaim": ("", "v1", "persistentvolumeclaims"),
    "NetworkPolicy": ("networking.k8s.io", "v1", "networkpolicies"),
    "PodDisruptionBudget": ("policy", "v1", "poddisruptionbudgets"),
}
"""By kind."""
Enqueue = Callable[[Key, float], None]
"""A key, and the seconds that it may wait for more events."""
OURS = f"{runtime.LABEL_MANAGED_BY}={runtime.MANAGED_BY}"


@dataclass(kw_only=True, slots=True)
class KopfIndices:
    """kopf's indices as kube.observe.Watched; filled before any event handler runs."""

    indices: dict[str, Mapping[Key, Iterable[Any]]] = field(default_factory=dict)
    filled: bool = False

    def job(self, key: Key) -> Mapping[str, Any] | None:
        """Without managedFields."""
        return next(iter(self._values("jobs", key)), None)

    def all_keys(self) -> list[Key]:
        """All jobs."""
        return sorted(self.indices.get("jobs", {}))

    def pods(self, key: Key) -> list[PodView]:
        """By label."""
        return list(self._values("pods", key))

    def children(self, key: Key) -> list[Mapping[str, Any]]:
        """By label."""
        return [one for *_, name in CHILDREN.values() for one in self._values(name, key)]

    def _values(self, index: str, key: Key) -> list[Any]:
        values = self.indices.get(index, {})
        return list(values[key]) if key in values else []


class NoDiffs(kopf.DiffBaseStorage):  # type: ignore[misc]
    """kopf copies every object to tell its handlers what has changed; none of ours asks."""

    def build(self, **_: Any) -> Any:
        """Nothing to compare."""
        return {}

    def fetch(self, **_: Any) -> None:
        """Nothing is stored."""

    def store(self, **_: Any) -> None:
        """Leaves no annotation."""


def make_registry(enqueue: Enqueue, watched: KopfIndices) -> kopf.OperatorRegistry:
    """Handlers for jobs and everything that carries our label."""
    registry = kopf.OperatorRegistry()

    async def start(settings: kopf.OperatorSettings, **kwargs: Any) -> None:
        _configure(settings)
        names = ("jobs", "pods", *(name for *_, name in CHILDREN.values()))
        watched.indices = {name: kwargs[name] for name in names}

    def add(key: Key | None, pause_s: float) -> None:
        watched.filled = True
        if key is not None:
            enqueue(key, pause_s)

    async def on_job(body: kopf.Body, **_: Any) -> None:
        add(_key_of_job(body), job_pause_s(body))

    async def on_pod(body: kopf.Body, event: Mapping[str, Any], **_: Any) -> None:
        add(_key_of_child(body), pod_pause_s(event["type"], body))

    async def on_child(body: kopf.Body, **_: Any) -> None:
        add(_key_of_child(body), GATHER_S)

    kopf.on.startup(registry=registry)(start)
    kopf.on.login(registry=registry)(_login)
    kopf.on.event(*JOBS, registry=registry)(on_job)
    kopf.on.event(*PODS, registry=registry)(on_pod)
    kopf.index(*JOBS, id="jobs", registry=registry)(_index_job)
    kopf.index(*PODS, id="pods", registry=registry)(_index_pod)
    for kind, resource in CHILDREN.items():
        kopf.index(*resource, id=resource[2], registry=registry)(_indexer(kind))
        kopf.on.event(*resource, registry=registry, id=f"on_{resource[2]}")(on_child)
    return registry


async def _login(**kwargs: Any) -> Any:
    service_account = _in_cluster(kopf.login_with_service_account(**kwargs))
    return service_account or kopf.login_with_kubeconfig(**kwargs)


async def _index_job(body: kopf.Body, **_: Any) -> Any:
    return {_key_of_job(body): _slim(body, KIND)}


async def _index_pod(body: kopf.Body, **_: Any) -> Any:
    key, view = _key_of_child(body), parse_pod(body)
    return None if key is None or view is None else {key: view}


def _indexer(kind: str) -> Callable[..., Any]:
    async def index(body: kopf.Body, **_: Any) -> Any:
        key = _key_of_child(body)
        return None if key is None else {key: _slim(body, kind)}

    return index


def _configure(settings: kopf.OperatorSettings) -> None:
    settings.posting.enabled = False
    settings.persistence.diffbase_storage = NoDiffs()
    settings.scanning.disabled = True  # needs no rights on namespaces and CRDs
    settings.peering.standalone = True
    settings.watching.chunk_size = 500
    for resource in (PODS, *CHILDREN.values()):
        settings.watching.label_selectors[resource] = OURS


def _in_cluster(info: Any) -> Any:
    """By address, as client-go does: DNS may not be up yet."""
    host, port = (
        os.environ.get("KUBERNETES_SERVICE_HOST"),
        os.environ.get("KUBERNETES_SERVICE_PORT"),
    )
    if info is None or not host:
        return info
    host = f"[{host}]" if ":" in host else host
    return replace(info, server=f"https://{host}:{port}")


def _slim(body: kopf.Body, kind: str) -> dict[str, Any]:
    meta = {name: part for name, part in body["metadata"].items() if name != "managedFields"}
    return {**body, "kind": kind, "metadata": meta}


def _key_of_job(body: kopf.Body) -> Key:
    return body["metadata"]["namespace"], body["metadata"]["name"]


def _key_of_child(body: kopf.Body) -> Key | None:
    """By owner, so that a lost label does not hide a child from the job's key; else by label."""
    meta = body["metadata"]
    owners = (o for o in meta.get("ownerReferences") or [] if o.get("kind") == "ProRLJob")
    owner = next((o["name"] for o in owners), None)
    name = owner or (meta.get("labels") or {}).get(runtime.LABEL_JOB)
    return (meta["namespace"], name) if name else None
