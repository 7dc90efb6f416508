"""Asks Ray how the job's cluster is used, now and then."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ray
from prorl_api import runtime

from prorl_trainer.observe.ray_metrics import ClusterUse

log = logging.getLogger(__name__)

ASK_SECONDS = 5.0
RESOURCES = {
    "trainer": runtime.RAY_TRAINER_RESOURCE,
    "rollout": runtime.RAY_ROLLOUT_RESOURCE,
    "gpu": "GPU",
}
OBJECT_STORE = "object_store_memory"


def ask() -> ClusterUse:
    """Of now. Raises what Ray raises when it has gone."""
    return use_of(ray.nodes(), ray.cluster_resources(), ray.available_resources())


def use_of(
    nodes: Sequence[Mapping[str, Any]], total: Mapping[str, float], free: Mapping[str, float]
) -> ClusterUse:
    """From Ray's three answers. A resource of which nothing is left is not in `free`."""

    def used(name: str) -> float:
        # A node may come between the two answers; then more is free than there was.
        return max(0.0, total.get(name, 0.0) - free.get(name, 0.0))

    alive = sum(node["Alive"] for node in nodes)
    return ClusterUse(
        alive=alive,
        dead=len(nodes) - alive,
        used={label: used(name) for label, name in RESOURCES.items()},
        free={label: free.get(name, 0.0) for label, name in RESOURCES.items()},
        store_used_bytes=used(OBJECT_STORE),
        store_free_bytes=free.get(OBJECT_STORE, 0.0),
    )


class RayUse:
    """From now to `close`, `told` gets what Ray answers."""

    def __init__(
        self,
        told: Callable[[ClusterUse], None],
        *,
        ask: Callable[[], ClusterUse] = ask,
        pause_s: float = ASK_SECONDS,
    ) -> None:
        self._told = told
        self._ask = ask
        self._pause_s = pause_s
        self._task = asyncio.create_task(self._watch())

    async def close(self) -> None:
        """Asks no more."""
        self._task.cancel()
        await asyncio.wait({self._task})

    async def _watch(self) -> None:
        while True:
            try:
                self._told(await asyncio.to_thread(self._ask))
            except Exception as error:  # what it means for the run is for those who need Ray
                log.warning("Ray does not say how its cluster is used: %s", error)
            await asyncio.sleep(self._pause_s)
