"""What Ray says of the job's cluster, as metrics of the coordinator."""

from collections.abc import Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Gauge

USED, FREE = "used", "free"


@dataclass(frozen=True, kw_only=True, slots=True)
class ClusterUse:
    """All nodes together."""

    alive: int
    dead: int
    """Nodes that this cluster has had."""
    used: Mapping[str, float]
    free: Mapping[str, float]
    """Places of learner ranks and engines, and GPUs, by `trainer`, `rollout` and `gpu`."""
    store_used_bytes: float
    store_free_bytes: float


class RayMetrics:
    """Exported from the first answer on; the labels are fixed, so there are ten series."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._nodes = Gauge(
            "prorl_ray_nodes",
            "Nodes of the job's Ray cluster, those included that it has lost.",
            ["state"],
            registry=registry,
        )
        self._resources = Gauge(
            "prorl_ray_resources",
            "Places of learner ranks and engines, and GPUs, that Ray's actors have or could have.",
            ["resource", "state"],
            registry=registry,
        )
        self._store = Gauge(
            "prorl_ray_object_store_bytes",
            "Memory of Ray's object stores, all nodes together.",
            ["state"],
            registry=registry,
        )

    def told(self, use: ClusterUse) -> None:
        """Ray's newest answer."""
        self._nodes.labels("alive").set(use.alive)
        self._nodes.labels("dead").set(use.dead)
        for state, amounts in ((USED, use.used), (FREE, use.free)):
            for resource, amount in amounts.items():
                self._resources.labels(resource, state).set(amount)
        self._store.labels(USED).set(use.store_used_bytes)
        self._store.labels(FREE).set(use.store_free_bytes)
