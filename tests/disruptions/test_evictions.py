"""Pods that something outside the job takes, one role after the other."""

from collections.abc import Callable

import pytest
from disturbed import (
    REPLACED_S,
    ROLES,
    LastingJob,
    Manifest,
    Tally,
    finished_without_repeats,
    one_lost,
    pods_disrupted,
    start,
    told,
)
from taking import preemptor


def each_role_is_taken(
    job: LastingJob, quickstart: Manifest, take: Callable[[LastingJob, str, str], None], reason: str
) -> None:
    start(job, quickstart)
    for role in ROLES:
        expected = Tally.of(job).after_disruption()
        with one_lost(job, role) as pod:
            take(job, role, pod)
        assert Tally.of(job) == expected, job.describe()
        assert pods_disrupted(job, role, reason) == 1
        assert told(job, "Restarted" if role == "coordinator" else "PodReplaced", pod)
    finished_without_repeats(job)


@pytest.mark.timeout(2400)
def test_an_evicted_pod_of_each_role_is_replaced_and_charged_to_nobody(
    job: LastingJob, quickstart: Manifest
) -> None:
    each_role_is_taken(job, quickstart, lambda job, _, pod: job.evict(pod), "EvictionByEvictionAPI")


@pytest.mark.timeout(2400)
def test_a_preempted_pod_of_each_role_is_replaced_and_charged_to_nobody(
    job: LastingJob, quickstart: Manifest
) -> None:
    def preempt(job: LastingJob, role: str, pod: str) -> None:
        with preemptor(job, role):
            job.until(f"{pod} is leaving", lambda: pod not in job.ready_pods(role), REPLACED_S)

    each_role_is_taken(job, quickstart, preempt, "PreemptionByScheduler")
