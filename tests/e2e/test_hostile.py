"""Hostile completions in a verifier's pod as the operator writes it, under Pod Security restricted:
only what is earned is given, and the pod is afterwards what it was before."""

import asyncio
import base64
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cluster.job import Job
from cluster.local import CGROUPS
from hostile import make, remote, run

Manifest = dict[str, Any]
READY_S = 180.0
SETTLE_S = 60.0
STEP = 5
"""Of the inputs, so many are left out for each that is judged here; run.py --url judges all."""
FILES = """
import os
for top in ("/tmp", "/dev/shm", "/var/tmp", "/home", "/run", "/"):
    for folder, below, names in os.walk(top):
        if top == "/":
            below.clear()
        print(*sorted(os.path.join(folder, name) for name in names), sep="\\n")
"""


def only_the_verifier_runs(manifest: Manifest) -> Manifest:
    """The other pods find no node; they would only take processors."""
    for role in ("coordinator", "trainer", "rollout"):
        pod = manifest["spec"].setdefault(role, {}).setdefault("pod", {})
        pod["nodeSelector"] = {"prorl.test/node": "none"}
    manifest["spec"]["verifier"] = {"timeoutSeconds": int(run.LIMIT_S)}
    return manifest


@contextmanager
def forwarded(job: Job, pod: str, port: int) -> Iterator[str]:
    """A URL of this machine for a port of the pod."""
    words = [*job.product.command("kubectl"), "-n", job.namespace, "port-forward", pod, f":{port}"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        match = re.search(r"127\.0\.0\.1:(\d+)", process.stdout.readline())
        assert match is not None
        yield f"http://127.0.0.1:{match[1]}"
    finally:
        process.kill()
        process.communicate()


def token_of(job: Job) -> str:
    secret = job.product.find("secret", "q-tokens", job.namespace)
    assert secret is not None
    return base64.b64decode(secret["data"]["verifier"]).decode()


def command_lines(job: Job, uid: str) -> list[str]:
    """Of the processes in the pod, as its node sees them."""
    found = []
    name = f"*{uid.replace('-', '?')}*"
    for folder in (CGROUPS / "pids" / job.product.cluster.cgroup).rglob(name):
        for listing in folder.rglob("cgroup.procs"):
            found += [Path(f"/proc/{pid}/cmdline") for pid in listing.read_text().split()]
    return sorted(path.read_bytes().replace(b"\0", b" ").decode() for path in found)


def files_of(job: Job, pod: str) -> list[str]:
    return job.kubectl("exec", pod, "--", "python3", "-c", FILES).splitlines()


@pytest.mark.timeout(600)
def test_a_verifiers_pod_gives_what_is_earned_and_is_left_as_it_was(
    job: Job, quickstart: Manifest
) -> None:
    job.apply(only_the_verifier_runs(quickstart))
    (pod,) = job.until("a verifier", lambda: job.ready_pods("verifier"), READY_S)
    uid = job.pods("verifier")[0]["metadata"]["uid"]
    processes, files = command_lines(job, uid), files_of(job, pod)
    assert sum("prorl_verifier" in line for line in processes) >= 4
    cases = [case for name in make.SETS for case in run.read(name)][::STEP]
    with forwarded(job, pod, 8000) as url:
        verdicts, said = asyncio.run(remote.judge(url, token_of(job), cases))
    assert run.wrong(cases, verdicts) == []
    assert said["isolation"] in ("landlock", "seccomp"), "the runtime's filter forbids namespaces"
    job.until(
        f"the processes {processes}, found {command_lines(job, uid)}",
        lambda: command_lines(job, uid) == processes,
        SETTLE_S,
    )
    assert files_of(job, pod) == files
    (container,) = job.pods("verifier")[0]["status"]["containerStatuses"]
    assert container["restartCount"] == 0
