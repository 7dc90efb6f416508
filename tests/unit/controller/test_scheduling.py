"""What spec.scheduling and spec.managedBy make of a job."""

from collections import Counter
from typing import Any

import pytest
from controller_builders import IMAGE, UID, make_job
from hypothesis import given
from hypothesis import strategies as st
from prorl_api.job import ProRLJob
from prorl_api.spec_roles import Role
from prorl_operator.build.config import slots
from prorl_operator.build.ledger import Ledger
from prorl_operator.build.names import Slot
from prorl_operator.build.pods import build_pod

GROUP = "kueue.x-k8s.io/pod-group-name"
TOTAL = "kueue.x-k8s.io/pod-group-total-count"
QUEUE = "kueue.x-k8s.io/queue-name"


def pods_of(job: ProRLJob) -> dict[Slot, dict[str, Any]]:
    return {
        slot: build_pod(job, slot, 1, default_image=IMAGE, ledger=Ledger())
        for slot in slots(job.spec)
    }


def test_a_job_without_a_queue_has_no_word_of_kueue() -> None:
    for pod in pods_of(make_job()).values():
        assert "kueue" not in str(pod["metadata"])
        assert "priorityClassName" not in pod["spec"]


def test_queue_and_priority_are_passed_on_to_every_pod() -> None:
    job = make_job(scheduling={"queueName": "team", "priorityClassName": "high"})
    for pod in pods_of(job).values():
        assert pod["metadata"]["labels"][QUEUE] == "team"
        assert pod["spec"]["priorityClassName"] == "high"
        assert GROUP not in pod["metadata"]["labels"]


def gang(**spec: Any) -> ProRLJob:
    return make_job(scheduling={"queueName": "team", "gang": "Kueue"}, **spec)


def test_the_gang_is_what_training_needs() -> None:
    job = gang(trainer={"replicas": 2}, rollout={"replicas": 3, "minReplicas": 2})
    pods = pods_of(job)
    outside = Slot(role=Role.ROLLOUT, index=2)
    assert {s for s, p in pods.items() if GROUP not in p["metadata"]["labels"]} == {outside}
    assert pods[outside]["metadata"]["labels"][QUEUE] == "team"
    assert TOTAL not in pods[outside]["metadata"]["annotations"]
    first = pods[Slot(role=Role.COORDINATOR, index=0)]["metadata"]
    assert first["labels"][GROUP] == f"q-{UID[:8]}"
    assert first["annotations"][TOTAL] == "6"


@given(
    trainers=st.integers(1, 9), rollouts=st.integers(1, 9), least=st.integers(1, 9),
    verifiers=st.integers(1, 9),
)  # fmt: skip
def test_a_group_has_as_many_pods_as_it_says_however_it_is_scaled(
    trainers: int, rollouts: int, least: int, verifiers: int
) -> None:
    totals: Counter[Any] = Counter()
    for more in (0, 3):
        replicas = max(least, rollouts) + more
        job = gang(
            trainer={"replicas": trainers},
            rollout={"replicas": replicas, "minReplicas": least},
            verifier={"replicas": verifiers},
        )
        for pod in pods_of(job).values():
            meta = pod["metadata"]
            totals[meta["annotations"].get(TOTAL), GROUP in meta["labels"], more] += 1
    size = 1 + trainers + least + verifiers
    for more in (0, 3):
        assert totals[str(size), True, more] == size


async def test_a_job_of_somebody_else_is_left_entirely_alone(world: Any) -> None:
    spec = world.api.objects["ProRLJob", "q"]["spec"]
    spec["managedBy"] = "kueue.x-k8s.io/multikueue"
    assert await world.reconcile() is None
    assert world.api.writes == []
    assert world.link.target is None
    assert b'prorl_job="q"' not in world.metrics.render()
    spec["managedBy"] = "prorl.dev/operator"
    await world.reconcile()
    assert "q-trainer-0-1" in world.api.names("Pod")


@pytest.mark.parametrize("broken", [True, False])
async def test_not_even_a_job_that_nobody_here_can_read_is_touched(
    world: Any, broken: bool
) -> None:
    spec = world.api.objects["ProRLJob", "q"]["spec"]
    spec |= {"managedBy": "example.com/other"} | ({"newField": 1} if broken else {})
    await world.reconcile()
    assert world.api.writes == []
