"""The driver's side of Ray: connect, and see which nodes carry which role."""

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

import ray
from prorl_api import runtime
from prorl_api.job import ProRLJobSpec

from prorl_trainer.context import Context
from prorl_trainer.errors import ConfigError, TrainerLostError, TrainingError

log = logging.getLogger(__name__)

POLL_SECONDS = 0.5
HEAD_TIMEOUT_S = 60.0
LOCAL_OBJECT_STORE_BYTES = 100_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """A live Ray node of the job."""

    node_id: str
    address: str
    trainer_ranks: int
    """Learner ranks that the node can hold."""
    engines: int
    """Engines that the node can hold."""


def connect(context: Context) -> None:
    """Joins the head in this pod, or starts Ray on this machine with room for both roles."""
    quiet = {"log_to_driver": False, "logging_level": logging.WARNING, "namespace": "prorl"}
    if not context.local:
        _wait_for_head(context.node_ip)
        ray.init(address=f"{context.node_ip}:{runtime.RAY_GCS_PORT}", **quiet)
        return
    spec = context.job.spec
    ray.init(
        num_cpus=max(2, os.cpu_count() or 2),
        resources={
            runtime.RAY_TRAINER_RESOURCE: spec.world_size,
            runtime.RAY_ROLLOUT_RESOURCE: spec.rollout.replicas,
        },
        include_dashboard=False,
        object_store_memory=LOCAL_OBJECT_STORE_BYTES,
        _node_ip_address=context.node_ip,
        **quiet,
    )
    refuse_missing_gpus(spec, int(ray.cluster_resources().get("GPU", 0)))


def refuse_missing_gpus(spec: ProRLJobSpec, available: int) -> None:
    """Raises ConfigError; Ray would wait for ever for GPUs that this machine does not have."""
    trainer, rollout = spec.trainer, spec.rollout
    wanted = trainer.replicas * trainer.gpus_per_replica
    wanted += rollout.replicas * rollout.gpus_per_replica
    if wanted > available:
        raise ConfigError(
            f"spec.trainer.gpusPerReplica {trainer.gpus_per_replica} and "
            f"spec.rollout.gpusPerReplica {rollout.gpus_per_replica} ask for {wanted} GPUs over "
            f"all replicas, but this machine has {available}."
        )


def _wait_for_head(node_ip: str) -> None:
    """The agent starts the head beside us. Raises TrainingError when it does not come up."""
    deadline = time.monotonic() + HEAD_TIMEOUT_S
    while True:
        try:
            socket.create_connection((node_ip, runtime.RAY_GCS_PORT), timeout=1).close()
            return
        except OSError as error:
            if time.monotonic() > deadline:
                raise TrainingError(
                    f"The Ray head at {node_ip}:{runtime.RAY_GCS_PORT} did not answer for "
                    f"{HEAD_TIMEOUT_S:.0f} s: {error}"
                ) from error
        time.sleep(0.1)


def disconnect() -> None:
    """Leaves Ray; a local one ends with it."""
    ray.shutdown()


def live_nodes() -> list[Node]:
    """All live nodes, in a stable order."""
    nodes = [
        Node(
            node_id=n["NodeID"],
            address=n["NodeManagerAddress"],
            trainer_ranks=int(n["Resources"].get(runtime.RAY_TRAINER_RESOURCE, 0)),
            engines=int(n["Resources"].get(runtime.RAY_ROLLOUT_RESOURCE, 0)),
        )
        for n in ray.nodes()
        if n["Alive"]
    ]
    return sorted(nodes, key=lambda node: (node.address, node.node_id))


def trainers_at(addresses: set[str], nodes: list[Node]) -> set[str]:
    """IDs of the trainers' nodes at the addresses. An address may soon be another pod's."""
    return {node.node_id for node in nodes if node.address in addresses and node.trainer_ranks}


def usable_ranks(nodes: list[Node], leaving: set[str]) -> int:
    """Learner ranks that the nodes can hold, without those whose IDs are leaving."""
    return sum(node.trainer_ranks for node in nodes if node.node_id not in leaving)


async def wait_for_trainers(
    num_ranks: int, *, leaving: set[str], timeout_s: float, report: Callable[[int], None]
) -> None:
    """Returns when the ranks can be placed and the leaving nodes (by ID) are gone.

    Raises TrainerLostError after timeout_s seconds.
    """
    deadline = asyncio.get_running_loop().time() + timeout_s
    while True:
        nodes = await asyncio.to_thread(live_nodes)
        usable = usable_ranks(nodes, leaving)
        report(usable)
        gone = not any(node.node_id in leaving for node in nodes)
        if gone and usable >= num_ranks:
            return
        if asyncio.get_running_loop().time() > deadline:
            raise TrainerLostError(
                f"Only {usable} of {num_ranks} learner ranks joined within {timeout_s:.0f} s."
            )
        await asyncio.sleep(POLL_SECONDS)
