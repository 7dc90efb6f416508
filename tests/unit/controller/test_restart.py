"""When a pod is replaced: at once, after a while, or never."""

from datetime import timedelta

import pytest
from controller_builders import (
    COORDINATOR,
    EVERY_SLOT,
    NOW,
    ROLLOUT,
    TRAINER,
    VERIFIER,
    ago,
    make_ended,
    make_job,
    make_observed,
    make_pod_view,
    make_status,
)
from hypothesis import given
from hypothesis import strategies as st
from prorl_api.spec_run_policy import Backoff
from prorl_operator.build.ledger import Cause
from prorl_operator.build.names import Slot
from prorl_operator.plan.disruption import Disruption
from prorl_operator.plan.failure import how_it_ended
from prorl_operator.plan.observed import LOST_AFTER, Observed, PodView
from prorl_operator.plan.restart import (
    FIRST_DELAY_S,
    HEALTHY_RUN_S,
    Decision,
    Keep,
    Replace,
    Wait,
    backoff_s,
    decide,
)

POLICY = Backoff()
HELPERS = EVERY_SLOT[1:]


def is_replaced(decision: Decision, cause: Cause, why: str) -> bool:
    if not isinstance(decision, Replace) or decision.fault is None:
        return False
    return (decision.fault.cause, decision.why) == (cause, why)


def after_failures(counted: int) -> Observed:
    return make_observed(stored=make_status(restarts=counted, restarts_counted=counted))


def decided(pod: PodView, *, failures: int = 0) -> Decision:
    return decide(pod, after_failures(failures), NOW)


@pytest.mark.parametrize("slot", EVERY_SLOT, ids=lambda slot: slot.role)
@pytest.mark.parametrize("phase", ["Pending", "Running", "Unknown"])
def test_a_pod_that_may_still_run_is_kept(slot: Slot, phase: str) -> None:
    assert decided(make_pod_view(slot, phase=phase, ready=False)) == Keep()


@pytest.mark.parametrize("slot", HELPERS, ids=lambda slot: slot.role)
def test_a_deleted_helper_is_replaced_at_once(slot: Slot) -> None:
    decision = decided(make_pod_view(slot, deletion_at=NOW + timedelta(seconds=60)))
    assert is_replaced(decision, Cause.DELETION, "was deleted")


@pytest.mark.parametrize(
    ("seconds", "wait"), [(60, 91), (0, 31), (-29.5, 1.5), (-30, 1)], ids=lambda s: str(s)
)
def test_a_coordinator_is_not_replaced_while_it_may_still_run(seconds: float, wait: float) -> None:
    pod = make_pod_view(COORDINATOR, deletion_at=ago(-seconds))
    decision = decided(pod)
    assert isinstance(decision, Wait)
    assert decision.seconds == wait
    assert "q-coordinator-0-1 is still ending" in decision.why


@pytest.mark.parametrize(
    "pod",
    [
        make_pod_view(COORDINATOR, deletion_at=NOW - LOST_AFTER - timedelta(seconds=1)),
        make_pod_view(COORDINATOR, deletion_at=NOW + timedelta(seconds=60), node_lost=True),
    ],
    ids=["grace long over", "node lost"],
)
def test_a_coordinator_on_a_lost_node_is_replaced(pod: PodView) -> None:
    assert is_replaced(decided(pod), Cause.DELETION, "was deleted")


def test_the_wait_for_a_leaving_coordinator_ends_with_its_replacement() -> None:
    pod = make_pod_view(COORDINATOR, deletion_at=NOW)
    wait = decided(pod)
    assert isinstance(wait, Wait)
    later = decide(pod, make_observed(), NOW + timedelta(seconds=wait.seconds))
    assert is_replaced(later, Cause.DELETION, "was deleted")


@pytest.mark.parametrize("slot", EVERY_SLOT, ids=lambda slot: slot.role)
def test_a_disrupted_pod_is_replaced_at_once_however_often_pods_have_failed(slot: Slot) -> None:
    pod = make_ended(slot, 1, incarnation=9, disruption=Disruption.EVICTION, started_at=ago(1))
    why = "was disrupted (EvictionByEvictionAPI)"
    assert is_replaced(decided(pod, failures=9), Cause.DISRUPTION, why)


@pytest.mark.parametrize("slot", EVERY_SLOT, ids=lambda slot: slot.role)
def test_the_first_failure_is_replaced_at_once_and_is_a_failure(slot: Slot) -> None:
    pod = make_ended(slot, 19, started_at=ago(5))
    assert is_replaced(decided(pod), Cause.FAILURE, how_it_ended(pod))


@pytest.mark.parametrize("slot", [COORDINATOR, TRAINER], ids=lambda slot: slot.role)
@pytest.mark.parametrize(("failures", "pause_s"), [(1, 10), (2, 20), (3, 40), (6, 300), (99, 300)])
def test_coordinator_and_trainer_wait_longer_after_every_counted_failure(
    slot: Slot, failures: int, pause_s: float
) -> None:
    pod = make_ended(slot, 19, started_at=ago(5))
    why = f"Pod {pod.name} is replaced in {pause_s} s"
    assert decided(pod, failures=failures) == Wait(seconds=pause_s, why=why)


@pytest.mark.parametrize("slot", [ROLLOUT, VERIFIER], ids=lambda slot: slot.role)
def test_other_pods_wait_by_their_own_failures_alone(slot: Slot) -> None:
    first = make_ended(slot, 1, started_at=ago(5))
    assert isinstance(decided(first, failures=9), Replace)
    third = make_ended(slot, 1, incarnation=3, started_at=ago(5))
    decision = decided(third)
    assert isinstance(decision, Wait)
    assert decision.seconds == 20


def test_the_spec_sets_first_and_longest_pause() -> None:
    policy = Backoff(base_seconds=3, max_seconds=5)
    assert [backoff_s(policy, n, 1.0) for n in (0, 1, 2, 99)] == [0, 3, 5, 5]
    job = make_job(runPolicy={"backoff": {"baseSeconds": 77}})
    observed = make_observed(job=job, stored=make_status(restarts_counted=1))
    decision = decide(make_ended(TRAINER, 19, started_at=ago(5)), observed, NOW)
    assert isinstance(decision, Wait)
    assert decision.seconds == 77


def test_a_pod_that_was_healthy_is_replaced_without_backoff() -> None:
    pod = make_ended(TRAINER, 19, started_at=ago(HEALTHY_RUN_S))
    assert isinstance(decided(pod, failures=9), Replace)
    assert isinstance(decided(make_ended(TRAINER, 19, started_at=ago(599)), failures=9), Wait)


def test_the_pause_counts_from_the_end_of_the_pod() -> None:
    pod = make_ended(TRAINER, 19, started_at=ago(18), finished_at=ago(13))
    decision = decided(pod, failures=2)
    assert isinstance(decision, Wait)
    assert decision.seconds == 7
    assert isinstance(decide(pod, after_failures(2), NOW + timedelta(seconds=7)), Replace)


@pytest.mark.parametrize("code", [0, 75], ids=["succeeded", "stopped"])
@pytest.mark.parametrize("slot", HELPERS, ids=lambda slot: slot.role)
def test_an_end_that_is_nobodys_fault_is_no_failure(slot: Slot, code: int) -> None:
    pod = make_ended(slot, code, phase="Failed")
    assert is_replaced(decided(pod), Cause.END, f"ended with exit code {code}")


def test_a_pod_that_keeps_stopping_at_once_is_not_replaced_in_a_spin() -> None:
    stopped = make_ended(TRAINER, 75, started_at=ago(59))
    assert decided(stopped) == Wait(seconds=10, why="Pod q-trainer-0-1 is replaced in 10 s")
    assert isinstance(decided(make_ended(TRAINER, 75, started_at=ago(60))), Replace)


def test_a_pod_that_never_started_waits_from_its_creation() -> None:
    refused = make_ended(
        TRAINER, None, phase="Failed", started_at=None, finished_at=None, created_at=ago(4)
    )
    assert decided(refused) == Wait(seconds=6, why="Pod q-trainer-0-1 is replaced in 6 s")


@given(failures=st.integers(min_value=-1, max_value=5000), ran_s=st.floats(0, 10_000))
def test_backoff_grows_with_failures_and_is_capped(failures: int, ran_s: float) -> None:
    pause_s = backoff_s(POLICY, failures, ran_s)
    assert pause_s <= backoff_s(POLICY, failures + 1, ran_s) <= POLICY.max_seconds
    free = failures <= 0 or ran_s >= HEALTHY_RUN_S
    assert pause_s == 0.0 if free else pause_s >= FIRST_DELAY_S


@given(
    failures=st.integers(0, 40),
    ran_s=st.floats(0, 1000),
    since_s=st.floats(0, 1000),
    code=st.sampled_from([1, 19, 75, 137, None]),
    slot=st.sampled_from(EVERY_SLOT),
)
def test_whoever_waits_is_replaced_when_the_wait_is_over(
    failures: int, ran_s: float, since_s: float, code: int | None, slot: Slot
) -> None:
    times = {"started_at": ago(ran_s + since_s), "finished_at": ago(since_s)}
    pod = make_ended(slot, code, phase="Failed", **times)
    observed = after_failures(failures)
    decision = decide(pod, observed, NOW)
    if isinstance(decision, Wait):
        assert 0 < decision.seconds <= POLICY.max_seconds
        later = NOW + timedelta(seconds=decision.seconds + 1e-3)
        decision = decide(pod, observed, later)
    assert isinstance(decision, Replace)
