"""How the tests of tests/disruptions take pods: each in the way of the part of Kubernetes that
would do it."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from cluster import images
from cluster.control_plane import NODE
from cluster.job import Job
from cluster.local import CGROUPS
from cluster.plain_pod import plain_pod
from prorl_api import runtime

Manifest = dict[str, Any]
URGENT = "urgent"
ROOM = "room"
FILL = """
import os
for _ in range(64):
    if os.fork() == 0:
        break
block = bytearray({megabytes} << 20)
for index in range(0, len(block), 4096):
    block[index] = 1
import time
time.sleep(600)
"""
"""Many processes of a little memory each: the container's first one is the best to be killed."""


def main_process(job: Job, pod: str) -> int:
    """Of the pod's container, in this process's namespace."""
    status = (job.product.find("pod", pod, job.namespace) or {})["status"]
    container = status["containerStatuses"][0]["containerID"].rpartition("/")[2]
    (folder,) = (CGROUPS / "pids" / job.product.cluster.cgroup).rglob(container)
    for pid in (folder / "cgroup.procs").read_text().split():
        with suppress(OSError):  # it has just ended
            text = Path(f"/proc/{pid}/status").read_text()
            if next(x for x in text.splitlines() if x.startswith("NSpid")).split()[-1] == "1":
                return int(pid)
    raise AssertionError(f"{pod} has no first process")


def kill(job: Job, pod: str) -> None:
    """SIGKILL of its first process."""
    os.kill(main_process(job, pod), signal.SIGKILL)


def exhaust_memory(job: Job, pod: str, limit_bytes: int) -> None:
    """Processes in the container want more than its limit; the kernel kills the first one (and
    perhaps others before)."""
    Path(f"/proc/{main_process(job, pod)}/oom_score_adj").write_text("1000")
    script = FILL.format(megabytes=limit_bytes // 32 >> 20)
    words = [*job.product.command("kubectl"), "-n", job.namespace, "exec", pod, "--"]
    subprocess.run([*words, "python3", "-c", script], capture_output=True, check=False)


def fill_tmp(job: Job, pod: str, megabytes: int) -> None:
    """A file in the pod's emptyDir on the node's disk."""
    script = f"open('/tmp/fill', 'wb').write(bytes({megabytes} << 20))"
    job.kubectl("exec", pod, "--", "python3", "-c", script)


def limit_disk(job: Job, size: str) -> None:
    """For containers that name no limit of their own, as administrators set it."""
    item = {"type": "Container", "default": {"ephemeral-storage": size}}
    item["defaultRequest"] = {"ephemeral-storage": "0"}
    apply(job, "v1", "LimitRange", "disk", {"spec": {"limits": [item]}})


def apply(job: Job, version: str, kind: str, name: str, body: Manifest) -> None:
    """One object, in the job's namespace if its kind has one."""
    head = {"apiVersion": version, "kind": kind, "metadata": {"name": name}}
    job.kubectl("apply", "-f", "-", text=json.dumps(head | body))


@contextmanager
def preemptor(job: Job, role: str) -> Iterator[None]:
    """A pod of higher priority that does not stand the role's pods beside it."""
    apply(job, "scheduling.k8s.io/v1", "PriorityClass", URGENT, {"value": 1_000_000})
    labels = {runtime.LABEL_JOB: job.name, runtime.LABEL_ROLE: role}
    term = {"labelSelector": {"matchLabels": labels}, "topologyKey": "kubernetes.io/hostname"}
    affinity = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    spec = {"priorityClassName": URGENT, "affinity": affinity}
    pod = plain_pod(ROOM, images.TRAINER, ["sleep", "infinity"], **spec)
    job.kubectl("apply", "-f", "-", text=json.dumps(pod))
    try:
        yield
    finally:
        job.kubectl("delete", "pod", ROOM, "--grace-period=0", "--force")


@contextmanager
def tainted(job: Job, taint: str) -> Iterator[None]:
    """`KEY=VALUE:EFFECT` on the node."""
    job.product.kubectl("taint", "node", NODE, taint)
    try:
        yield
    finally:
        job.product.kubectl("taint", "node", NODE, f"{taint}-")


@contextmanager
def drained(job: Job) -> Iterator[None]:
    """kubectl drain of everything on the node, the operator too; uncordoned at the end."""
    words = ["--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=300s"]
    job.product.kubectl("drain", NODE, *words)
    try:
        yield
    finally:
        job.product.kubectl("uncordon", NODE)


@contextmanager
def short_of_memory(job: Job) -> Iterator[None]:
    """A kubelet that wants nearly all of the node's memory free. A hard threshold would be taken
    off what the node has for pods, and the kubelet, started anew, would refuse those it has."""
    path = job.product.cluster.directory / "kubelet.json"
    before = path.read_text()
    config = json.loads(before)
    config["evictionSoft"] = {"memory.available": "99%"}
    config["evictionSoftGracePeriod"] = {"memory.available": "1s"}
    config["evictionMaxPodGracePeriod"] = 60
    path.write_text(json.dumps(config))
    signal_kubelet(job, signal.SIGKILL)
    try:
        yield
    finally:
        path.write_text(before)
        signal_kubelet(job, signal.SIGKILL)


@contextmanager
def hanging(job: Job) -> Iterator[None]:
    """A kubelet that is stopped: the node is lost as far as the control plane can see."""
    signal_kubelet(job, signal.SIGSTOP)
    try:
        yield
    finally:
        signal_kubelet(job, signal.SIGCONT)


def signal_kubelet(job: Job, number: signal.Signals) -> None:
    """Killed, it is started again within a second."""
    os.kill(job.product.cluster.pid_of("kubelet"), number)


def node_conditions(job: Job) -> dict[str, str]:
    """Type to status."""
    node = job.product.find("node", NODE) or {}
    return {one["type"]: one["status"] for one in node["status"]["conditions"]}
