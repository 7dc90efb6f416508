"""Jobs on a real node: trained to the end, and through the loss of every pod."""

import json
from typing import Any

import pytest
from cluster.job import Job
from cluster.product import SYSTEM

Manifest = dict[str, Any]
READY_S = 240.0
STEP_S = 180.0


def with_steps(manifest: Manifest, steps: int) -> Manifest:
    """The quickstart, shorter, and with a warm-up that the tests share."""
    spec = manifest["spec"]
    spec["algorithm"]["steps"] = steps
    spec["data"]["validation"]["everySteps"] = steps
    spec["referenceReset"]["everySteps"] = 3
    spec["checkpoint"]["everySteps"] = 4
    return manifest


@pytest.mark.timeout(900)
def test_the_quickstart_is_trained_and_leaves_nothing_but_its_checkpoints(
    job: Job, quickstart: Manifest
) -> None:
    with job.phases() as phases:
        job.apply(with_steps(quickstart, 5))
        job.until("the first step", job.step, READY_S)
        columns = job.kubectl("get", "prorljob", "q").splitlines()
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


@pytest.mark.timeout(1500)
def test_no_step_is_lost_or_trained_twice_when_a_pod_of_every_role_is_deleted(
    job: Job, quickstart: Manifest
) -> None:
    steps = 30
    quickstart["spec"]["trainer"]["replicas"] = 2
    job.apply(with_steps(quickstart, steps))
    job.until("two steps", lambda: job.step() >= 2, READY_S)
    for role in ("rollout", "verifier", "trainer"):
        lose_one(job, role)
    assert job.ready_pods("trainer") == {"q-trainer-0-2", "q-trainer-1-1"}
    lose_one(job, "coordinator")
    lose_operator(job)
    suspend_and_resume(job)
    assert job.until_ended(READY_S) == "Succeeded", job.describe()
    assert job.times_trained() == dict.fromkeys(range(1, steps + 1), 1)
    status = job.status()
    assert status["progress"]["step"] == steps
    assert status["restarts"] == 0, "a deleted pod has not failed"
    assert 1 <= status["disruptions"] <= 4, "one per role, or fewer where two fell together"
    assert status["attempt"] == 3
    reasons = [reason for reason, _ in job.events()]
    assert reasons.count("PodReplaced") == 3
    assert reasons.count("Restarted") == 1


def lose_one(job: Job, role: str) -> None:
    """Returns when a replacement is ready and two more steps are done."""
    before, step = job.ready_pods(role), job.step()
    old = min(before)
    job.kubectl("delete", "pod", old, "--wait=false")

    def replaced() -> bool:
        ready = job.ready_pods(role)
        return old not in ready and len(ready) == len(before)

    job.until(f"another {role} pod than {old}", replaced, READY_S)
    job.until(f"two steps with the new {role}", lambda: job.step() >= step + 2, READY_S)


def lose_operator(job: Job) -> None:
    job.product.kubectl("delete", "pod", "--namespace", SYSTEM, "--all", "--wait")
    step = job.step()
    job.until("a step that the new operator has seen", lambda: job.step() > step, READY_S)


def suspend_and_resume(job: Job) -> None:
    patch(job, suspend=True)
    job.until("no pod is left", lambda: job.status()["phase"] == "Suspended", READY_S)
    assert job.pods() == []
    status = job.status()
    assert status["checkpoint"]["lastStep"] == status["progress"]["step"]
    patch(job, suspend=False)
    step = status["progress"]["step"]
    job.until("a step after the suspension", lambda: job.step() > step, READY_S)


def patch(job: Job, **spec: object) -> None:
    text = json.dumps({"spec": spec})
    job.kubectl("patch", "prorljob", job.name, "--type=merge", "-p", text)
