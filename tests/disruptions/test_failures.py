"""Pods that end by their own fault: killed, out of memory, over their share of the disk."""

from collections.abc import Callable

import pytest
from disturbed import ROLES, LastingJob, Manifest, Tally, finished, one_lost, start, told
from taking import exhaust_memory, fill_tmp, kill, limit_disk

GIB = 1 << 30
DISK_MB = 1024


def memory(manifest: Manifest, role: str) -> int:
    """Limit of the role's pods in bytes; the example has whole GiB."""
    limit = manifest["spec"][role]["pod"]["resources"]["memory"]
    return int(limit.removesuffix("Gi")) * GIB


def each_fails(
    job: LastingJob, quickstart: Manifest, harm: Callable[[str, str], None], words: str
) -> None:
    """`harm` gets role and pod. `words`: what the replacement's Event says of the pod."""
    start(job, quickstart)
    for role in ROLES:
        expected = Tally.of(job).after_failure_of(role)
        with one_lost(job, role) as pod:
            harm(role, pod)
        assert Tally.of(job) == expected, job.describe()
        assert told(job, "Restarted" if role == "coordinator" else "PodReplaced", f"{pod} {words}")
    finished(job)


@pytest.mark.timeout(2400)
def test_a_killed_container_of_each_role_is_a_failure(
    job: LastingJob, quickstart: Manifest
) -> None:
    each_fails(job, quickstart, lambda _, pod: kill(job, pod), "ended with exit code 137")


@pytest.mark.timeout(2400)
def test_a_container_of_each_role_that_runs_out_of_memory_is_a_failure(
    job: LastingJob, quickstart: Manifest
) -> None:
    def exhaust(role: str, pod: str) -> None:
        exhaust_memory(job, pod, memory(quickstart, role))

    each_fails(job, quickstart, exhaust, "ended with exit code 137 (OOMKilled)")


@pytest.mark.timeout(2400)
def test_a_pod_of_each_role_that_is_over_its_own_limit_of_the_disk_has_failed(
    job: LastingJob, quickstart: Manifest
) -> None:
    """The kubelet gives it a second. Of a pod that ends with 0 meanwhile, as all but a coordinator
    can, it says nothing but that it has succeeded."""
    limit_disk(job, f"{DISK_MB}Mi")
    start(job, quickstart)
    for role in ROLES:
        before = Tally.of(job)
        with one_lost(job, role) as pod:
            fill_tmp(job, pod, DISK_MB + 256)
        possible = [before.after_failure_of(role)]
        if role != "coordinator":
            possible.append(before.after_end_in_peace_of(role))
        assert Tally.of(job) in possible, job.describe()
        assert told(job, "Restarted" if role == "coordinator" else "PodReplaced", pod)
    assert told(job, "Restarted", "(Evicted).")
    finished(job)
