"""A job on a real node that loses every pod, the operator, and the release that installed it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cluster.job import Job, with_steps
from cluster.product import SYSTEM
from cluster.release import NEXT_SCHEMA, next_release

Manifest = dict[str, Any]
READY_S = 240.0
DEFINITION = "prorljobs.prorl.dev"
OURS = "app.kubernetes.io/instance=prorl"


@pytest.mark.timeout(1500)
def test_no_step_is_lost_or_trained_twice_when_a_pod_of_every_role_is_deleted(
    job: Job, quickstart: Manifest, tmp_path: Path
) -> None:
    steps = 40
    quickstart["spec"]["trainer"]["replicas"] = 2
    quickstart["spec"]["runPolicy"] = {"evictions": "Refused"}
    job.apply(with_steps(quickstart, steps))
    job.until("two steps", lambda: job.step() >= 2, READY_S)
    evictions_are_refused(job, min(job.ready_pods("trainer")))
    for role in ("rollout", "verifier", "trainer"):
        lose_one(job, role)
    assert job.ready_pods("trainer") == {"q-trainer-0-2", "q-trainer-1-1"}
    lose_one(job, "coordinator")
    upgrade(job, tmp_path)
    lose_release(job)
    with served_by_roles_only(job):
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


def evictions_are_refused(job: Job, pod: str) -> None:
    with pytest.raises(RuntimeError, match="disruption budget"):
        job.evict(pod)


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


def upgrade(job: Job, folder: Path) -> None:
    """To a chart with another definition of ProRLJobs; another operator goes on from the status."""
    before, step = uids(job), job.step()
    job.product.install(next_release(folder))
    definition = job.product.find("crd", DEFINITION)
    assert definition is not None
    assert definition["metadata"]["annotations"]["prorl.dev/schema"] == NEXT_SCHEMA
    job.until("a step that the new operator has seen", lambda: job.step() > step, READY_S)
    assert uids(job) == before, "an upgrade touches no pod of a job"


def lose_release(job: Job) -> None:
    """`helm uninstall` leaves the job running."""
    before, trained = uids(job), len(job.times_trained())
    job.product.uninstall()
    job.until("a step without operator", lambda: len(job.times_trained()) > trained, READY_S)
    assert job.product.find("crd", DEFINITION) is not None
    assert uids(job) == before


@contextmanager
def served_by_roles_only(job: Job) -> Iterator[None]:
    """Whoever installs again has the job back, also with rights in its namespace alone."""
    before, trained = uids(job), len(job.times_trained())
    job.product.install(watch=job.namespace)
    try:
        assert job.product.objects("clusterroles", SYSTEM, "-l", OURS) == []
        job.until("a status of these steps", lambda: job.step() >= trained, READY_S)
        assert uids(job) == before
        yield
    finally:
        job.product.install()


def uids(job: Job) -> set[str]:
    return {pod["metadata"]["uid"] for pod in job.pods()}


def suspend_and_resume(job: Job) -> None:
    job.patch(suspend=True)
    job.until("no pod is left", lambda: job.status()["phase"] == "Suspended", READY_S)
    assert job.pods() == []
    status = job.status()
    assert status["checkpoint"]["lastStep"] == status["progress"]["step"]
    job.patch(suspend=False, trainer={"pod": {"nodeSelector": {"kubernetes.io/os": "linux"}}})
    step = status["progress"]["step"]
    job.until("a step after the suspension", lambda: job.step() > step, READY_S)
