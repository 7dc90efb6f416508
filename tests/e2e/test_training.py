"""A job on a real node, from its manifest to the end."""

from typing import Any

import pytest
from cluster.job import Job, with_steps
from cluster.stranger import answers
from prorl_api import runtime

Manifest = dict[str, Any]
RAY_PORT = runtime.RAY_PORTS["--node-manager-port"]
RAY_ROLES = {"coordinator", "trainer", "rollout"}
OPEN = {"GET /healthz", "GET /readyz", "GET /metrics"}
REFUSED = ("UNAUTHENTICATED", "401", "404", "405")
READY_S = 240.0
STEP_S = 180.0


@pytest.mark.timeout(900)
def test_the_quickstart_is_trained_and_leaves_nothing_but_its_checkpoints(
    job: Job, quickstart: Manifest
) -> None:
    with job.phases() as phases:
        job.apply(with_steps(quickstart, 5))
        job.until("the first step", job.step, READY_S)
        columns = job.kubectl("get", "prorljob", "q").splitlines()
        nothing_is_told_to_strangers(job)
        assert job.until_ended(STEP_S) == "Succeeded", job.describe()
    assert phases == ["Pending", "Starting", "Running", "Succeeded"]
    header, row = (line.split() for line in columns)
    assert header[:3] == ["NAME", "PHASE", "STEP"]
    assert "REWARD" in header
    assert row[1] == "Running"
    assert int(row[2]) >= 1
    assert 0 <= float(row[header.index("REWARD")]) <= 1
    status = job.status()
    assert (status["progress"]["step"], status["checkpoint"]["lastStep"]) == (5, 5)
    assert status["reference"]["version"] == 1
    assert job.records("reset")[0]["step"] == 3
    kl = {record["step"]: record["values"]["kl"] for record in job.records("step")}
    assert kl[4] < 1e-9 < kl[3], "the reset has moved the reference to the policy"
    deleted_without_a_trace(job)


def nothing_is_told_to_strangers(job: Job) -> None:
    """What torch listens with (rendezvous, gloo) has no token and says nothing to a stranger who
    asks in HTTP or gRPC; only the job's NetworkPolicies close it."""
    told = answers(job)
    assert {role for role, ports in told.items() if RAY_PORT in ports} == RAY_ROLES
    assert told["verifier"].keys() == {runtime.VERIFIER_PORT}
    asked = [one for ports in told.values() for said in ports.values() for one in said.items()]
    assert {"UNAUTHENTICATED", "401"} <= {answer for _, answer in asked}
    open_to_all = {question for question, answer in asked if answer not in REFUSED}
    assert open_to_all == OPEN, told


def deleted_without_a_trace(job: Job) -> None:
    checkpoints = job.directory / "checkpoints"
    job.kubectl("delete", "prorljob", "q", "--wait")
    kinds = "pods,services,configmaps,secrets,endpointslices,persistentvolumeclaims"

    def left() -> set[str]:
        items = job.product.objects(kinds, job.namespace)
        return {f"{i['kind']}/{i['metadata']['name']}" for i in items}

    own = {"ConfigMap/kube-root-ca.crt", "PersistentVolumeClaim/q-checkpoints"}
    job.until(f"only {own} left, found {left()}", lambda: left() == own, 90)
    assert sorted(checkpoints.glob("step-*/manifest.json"))
