"""A pod of another namespace without any token, and what a job's ports tell it."""

import json
from pathlib import Path
from typing import Any

from cluster import images
from cluster.job import Job
from cluster.plain_pod import plain_pod

SPACE, NAME = "strangers", "stranger"
QUESTIONS = Path(__file__).parent / "questions.py"
LISTENS = """
import pathlib
for name in ("tcp", "tcp6"):
    for line in pathlib.Path("/proc/net", name).read_text("ascii").splitlines()[1:]:
        _, local, _, state, *_ = line.split()
        address, port = local.split(":")
        if state == "0A" and not address.endswith("0100007F"):
            print(int(port, 16))
"""
"""TCP ports that listen on more than the loopback device (state 0A of /proc/net/tcp)."""

Answers = dict[int, dict[str, str]]
"""Port -> question -> answer."""


def answers(job: Job) -> dict[str, Answers]:
    """Role -> what its pods answer to somebody without a token."""
    _begin(job)
    found: dict[str, Answers] = {}
    for pod in job.pods():
        role = pod["metadata"]["labels"]["prorl.dev/role"]
        found.setdefault(role, {}).update(_ask(job, pod))
    job.product.kubectl("delete", "namespace", SPACE, "--wait=false")
    return found


def _begin(job: Job) -> None:
    job.product.namespace(SPACE)
    text = json.dumps(plain_pod(NAME, images.TRAINER))
    job.product.kubectl("-n", SPACE, "apply", "-f", "-", text=text)
    wait = ["wait", "--for=condition=Ready", f"pod/{NAME}", "--timeout=60s"]
    job.product.kubectl("-n", SPACE, *wait)


def _ask(job: Job, pod: dict[str, Any]) -> Answers:
    name, address = pod["metadata"]["name"], pod["status"]["podIP"]
    ports = job.kubectl("exec", name, "--", "python3", "-c", LISTENS).split()
    words = ["exec", "-i", NAME, "--", "python3", "-", address, *sorted(set(ports))]
    said = job.product.kubectl("-n", SPACE, *words, text=QUESTIONS.read_text())
    return {int(port): told for port, told in json.loads(said).items()}
