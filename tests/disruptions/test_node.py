"""What happens to the node happens to all roles at once: they come back, and nothing is lost."""

import signal
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace

import pytest
from disturbed import (
    REPLACED_S,
    ROLES,
    LastingJob,
    Manifest,
    Tally,
    finished,
    finished_without_repeats,
    only,
    start,
    staying,
    told,
    trained_on,
)
from taking import drained, hanging, node_conditions, short_of_memory, signal_kubelet, tainted

UNREACHABLE = "node.kubernetes.io/unreachable"
TOLERATED_S = 5


def containers(job: LastingJob) -> dict[str, str]:
    """Role to the container that runs."""
    return {
        role: job.pods(role)[0]["status"]["containerStatuses"][0]["containerID"] for role in ROLES
    }


def all_lost(job: LastingJob, away: Callable[[LastingJob], AbstractContextManager[None]]) -> None:
    """Counted as disruptions, and as nothing else."""
    before, old = Tally.of(job), {only(job, role) for role in ROLES}
    with trained_on(job), away(job):
        job.until(f"{old} are gone", lambda: not old & staying(job), REPLACED_S)
    after = Tally.of(job)
    assert replace(after, disruptions=before.disruptions) == before, job.describe()
    assert 1 <= after.disruptions - before.disruptions <= len(ROLES)


@pytest.mark.timeout(2400)
def test_a_job_lives_through_a_drain_and_a_tainted_node(
    job: LastingJob, quickstart: Manifest
) -> None:
    """The operator is on the node too, so nobody sees how the pods went."""
    start(job, quickstart)
    all_lost(job, drained)
    all_lost(job, lambda job: tainted(job, "spot=notice:NoExecute"))
    finished_without_repeats(job)


@pytest.mark.timeout(2400)
def test_pods_that_a_node_short_of_memory_evicts_are_charged_to_nobody(
    job: LastingJob, quickstart: Manifest
) -> None:
    """The kubelet takes one after the other, and may take the operator too."""
    start(job, quickstart)
    before = Tally.of(job)

    with trained_on(job):
        with short_of_memory(job):
            job.until("an eviction", lambda: len(staying(job)) < len(ROLES), REPLACED_S)
        job.until("enough memory", lambda: node_conditions(job)["MemoryPressure"] == "False", 60)
    after = Tally.of(job)
    assert replace(after, disruptions=before.disruptions) == before, job.describe()
    assert after.disruptions > before.disruptions
    words = "was disrupted (TerminationByKubelet)"
    assert told(job, "PodReplaced", words) or told(job, "Restarted", words)
    finished(job)


@pytest.mark.timeout(2400)
def test_a_kubelet_that_ends_changes_nothing_and_one_that_hangs_costs_the_pods(
    job: LastingJob, quickstart: Manifest
) -> None:
    toleration = {"key": UNREACHABLE, "operator": "Exists", "effect": "NoExecute"}
    toleration["tolerationSeconds"] = TOLERATED_S  # type: ignore[assignment]
    for role in ROLES:
        quickstart["spec"].setdefault(role, {}).setdefault("pod", {})["tolerations"] = [toleration]
    start(job, quickstart)
    before, running = Tally.of(job), containers(job)
    with trained_on(job):
        signal_kubelet(job, signal.SIGKILL)
    assert (containers(job), Tally.of(job)) == (running, before)
    all_lost(job, hanging)
    finished(job)
