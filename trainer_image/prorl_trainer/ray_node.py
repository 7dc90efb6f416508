"""How a pod joins the job's Ray cluster: the arguments and environment of `ray start`."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path

from prorl_api import runtime
from prorl_api.spec_roles import Role

OBJECT_STORE_BYTES = 100_000_000
"""Batches travel in actor calls and weights by the engines' own channel: the store stays small."""
JOINED = "Ray runtime started"
"""What `ray start` writes when the node has joined."""
REFUSED = ("InvalidAuthToken", "AuthenticationError")
"""What `ray start` writes when the token is wrong."""


def ray_environment(token: str) -> dict[str, str]:
    """What every process that speaks Ray needs."""
    return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token, "RAY_USAGE_STATS_ENABLED": "0"}


def head_arguments(node_ip: str, ports: Mapping[str, int] = runtime.RAY_PORTS) -> list[str]:
    """The head in the coordinator's pod; it holds no actor of ours.

    Without the monitor, which only scales clusters: 83 MiB less. dashboard.py runs even when it is
    excluded, so it is bound to loopback.
    """
    return [
        *_start("--head", f"--port={runtime.RAY_GCS_PORT}", "--num-cpus=0", "--num-gpus=0"),
        "--no-monitor",
        "--include-dashboard=false",
        "--dashboard-host=127.0.0.1",
        *_common(node_ip, ports),
    ]


def node_arguments(
    role: Role,
    *,
    head: str,
    node_ip: str,
    num_gpus: int,
    ports: Mapping[str, int] = runtime.RAY_PORTS,
) -> list[str]:
    """A trainer or rollout node. head: name or address of the coordinator's pod, without port.

    Our actors ask for the role's custom resource and GPUs, never for CPUs.
    """
    return [
        *_start(f"--address={head}:{runtime.RAY_GCS_PORT}", "--num-cpus=1"),
        f"--num-gpus={num_gpus}",
        f"--resources={json.dumps(role_resources(role, num_gpus))}",
        *_common(node_ip, ports),
    ]


def role_resources(role: Role, num_gpus: int) -> dict[str, int]:
    """One learner rank per GPU of a trainer, or one on CPU; one engine per rollout pod."""
    if role is Role.TRAINER:
        return {runtime.RAY_TRAINER_RESOURCE: max(1, num_gpus)}
    if role is Role.ROLLOUT:
        return {runtime.RAY_ROLLOUT_RESOURCE: 1}
    raise ValueError(f"{role} is no Ray node with resources; trainer and rollout are.")


def _start(*arguments: str) -> list[str]:
    return [sys.executable, str(Path(sys.executable).with_name("ray")), "start", *arguments]


def _common(node_ip: str, ports: Mapping[str, int]) -> list[str]:
    return [
        f"--node-ip-address={node_ip}",
        *(f"{name}={port}" for name, port in ports.items()),
        f"--object-store-memory={OBJECT_STORE_BYTES}",
        "--include-log-monitor=false",
        "--disable-usage-stats",
        "--block",
    ]
