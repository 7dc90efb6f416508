"""spec.runPolicy: deadlines, and what becomes of a job that has ended."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from controller_builders import (
    COORDINATOR,
    NOW,
    ROLLOUT,
    TRAINER,
    VERIFIER,
    ago,
    carry_out,
    make_condition,
    make_converged,
    make_ended,
    make_job,
    make_observed,
    make_pod_view,
    make_status,
    settle,
    text,
)
from plan_readers import failure_of
from prorl_api.spec_roles import Role
from prorl_api.status import Phase
from prorl_operator.build.names import Slot
from prorl_operator.plan.actions import DeleteJob, DeletePod
from prorl_operator.plan.deadlines import missing_slots
from prorl_operator.plan.observed import Observed, PodView, Problem
from prorl_operator.plan.plan import make_plan

SECOND_ROLLOUT = Slot(role=Role.ROLLOUT, index=1)
DEADLINE: dict[str, Any] = {"pendingDeadlineSeconds": 600}


def waiting(slot: Slot, **values: Any) -> PodView:
    return make_pod_view(slot, phase="Pending", ready=False, started_at=None, **values)


@pytest.mark.parametrize(
    ("pods", "missing"),
    [
        ([], []),
        ([waiting(TRAINER)], [TRAINER]),
        ([make_pod_view(TRAINER, deletion_at=NOW)], [TRAINER]),
        ([waiting(COORDINATOR), waiting(VERIFIER)], [COORDINATOR, VERIFIER]),
        ([waiting(SECOND_ROLLOUT)], []),
        ([waiting(ROLLOUT), waiting(SECOND_ROLLOUT)], [ROLLOUT, SECOND_ROLLOUT]),
        ([make_ended(TRAINER)], [TRAINER]),
    ],
    ids=["all", "trainer", "leaving", "two", "more than the least", "no rollout", "ended"],
)
def test_training_needs_all_but_surplus_helpers(pods: list[PodView], missing: list[Slot]) -> None:
    job = make_job(rollout={"replicas": 2, "minReplicas": 1})
    assert missing_slots(make_observed(*pods, job=job)) == missing


def pending(since_s: float | None, *pods: PodView, **policy: Any) -> Observed:
    stored = make_status(pending_since=None if since_s is None else text(ago(since_s)))
    job = make_job(runPolicy=DEADLINE | policy)
    return make_observed(*(pods or (waiting(TRAINER),)), job=job, stored=stored)


def test_the_wait_for_pods_begins_when_the_first_is_missed_and_ends_with_the_last() -> None:
    observed = make_observed(waiting(TRAINER))
    first = make_plan(observed, NOW).status
    assert first.pending_since == text(NOW)
    later = replace(observed, stored=first)
    assert make_plan(later, NOW + timedelta(seconds=90)).status.pending_since == text(NOW)
    assert make_plan(make_observed(stored=first), NOW).status.pending_since is None


def test_pods_that_do_not_come_in_time_fail_the_job_with_the_schedulers_words() -> None:
    refused = waiting(TRAINER, unschedulable="0/3 nodes are available: 3 Insufficient gpu.")
    assert make_plan(pending(599, refused), NOW).status.phase is not Phase.FAILED
    plan = make_plan(pending(600, refused), NOW)
    failed = failure_of(plan.status)
    assert failed.reason == "PendingDeadlineExceeded"
    assert failed.message == (
        "1 pods that training needs were not running for 600 s "
        "(spec.runPolicy.pendingDeadlineSeconds): trainer-0. "
        "Pod q-trainer-0-1 cannot be scheduled: 0/3 nodes are available: 3 Insufficient gpu."
    )
    assert plan.status.pending_since is None
    gone = {action.name for action in plan.actions if isinstance(action, DeletePod)}
    assert gone == {"q-coordinator-0-1", "q-rollout-0-1", "q-trainer-0-1", "q-verifier-0-1"}


def test_a_quota_that_keeps_pods_out_is_a_deadline_missed_too() -> None:
    observed = pending(601)
    problem = Problem(reason="RefusedByApiServer", message="Exceeded quota.")
    others = tuple(p for p in observed.pods if p.slot != TRAINER)
    plan = make_plan(replace(observed, pods=others, problems=(problem,)), NOW)
    failed = failure_of(plan.status)
    assert failed.message.endswith("trainer-0. Exceeded quota.")


def test_a_job_that_is_looked_at_when_its_deadline_passes() -> None:
    assert make_plan(pending(570), NOW).requeue_after_s == 30
    assert make_plan(pending(None), NOW).requeue_after_s == 600
    assert make_plan(make_observed(waiting(TRAINER)), NOW).requeue_after_s is None


def test_a_surplus_rollout_that_fits_nowhere_fails_nothing() -> None:
    job = make_job(runPolicy=DEADLINE, rollout={"replicas": 2})
    stored = make_status(pending_since=text(ago(9000)))
    observed = make_observed(waiting(SECOND_ROLLOUT, unschedulable="no"), job=job, stored=stored)
    assert make_plan(observed, NOW).status.phase is Phase.RUNNING


def active(started_s: float, **stored: Any) -> Observed:
    job = make_job(runPolicy={"activeDeadlineSeconds": 3600})
    return make_observed(job=job, stored=make_status(start_time=text(ago(started_s)), **stored))


def test_a_job_that_takes_too_long_fails_and_keeps_its_checkpoint() -> None:
    assert make_plan(active(3599), NOW).status.phase is Phase.RUNNING
    status = make_plan(active(3600), NOW).status
    failed = failure_of(status)
    assert (failed.reason, "3600 s" in failed.message) == ("DeadlineExceeded", True)
    assert status.checkpoint is not None
    assert status.checkpoint.last_step == 5


def test_time_in_suspension_is_no_active_time() -> None:
    resumed = make_condition("Suspended", status="False", last_transition_time=text(ago(100)))
    assert make_plan(active(9000, conditions=[resumed]), NOW).status.phase is Phase.RUNNING
    suspended = make_job(suspend=True, runPolicy={"activeDeadlineSeconds": 60})
    observed = make_observed(job=suspended, stored=make_status(start_time=text(ago(9000))))
    assert make_plan(observed, NOW).status.phase is Phase.SUSPENDING


def test_an_end_that_is_known_already_comes_before_a_deadline() -> None:
    done = replace(active(9000), pods=(make_ended(COORDINATOR, 0),))
    assert make_plan(done, NOW).status.phase is Phase.SUCCEEDED


KEPT = {
    "None": [{"q-trainer-0-1", "q-verifier-0-1"}, {"q-coordinator-0-1", "q-rollout-0-1"}],
    "Ended": [{"q-trainer-0-1", "q-verifier-0-1"}, set()],
    "All": [set(), set()],
}


@pytest.mark.parametrize("code", [0, 11], ids=["succeeded", "failed"])
@pytest.mark.parametrize(("keep", "deleted"), KEPT.items(), ids=KEPT)
def test_no_final_word_goes_before_status_has_it(
    keep: str, deleted: list[set[str]], code: int
) -> None:
    job = make_job(runPolicy={"keepPods": keep})
    observed = make_observed(make_ended(COORDINATOR, code), make_ended(ROLLOUT, 1), job=job)
    for wanted in deleted:
        plan = make_plan(observed, NOW)
        assert {one.name for one in plan.actions if isinstance(one, DeletePod)} == wanted
        observed = carry_out(observed, plan)
    assert make_plan(observed, NOW).actions == ()


def ended_job(ttl_s: int | None, age_s: float, code: int = 0) -> Observed:
    policy = {} if ttl_s is None else {"ttlSecondsAfterFinished": ttl_s}
    done = make_ended(COORDINATOR, code, finished_at=ago(age_s))
    return settle(make_observed(done, job=make_job(runPolicy=policy)))


@pytest.mark.parametrize("code", [0, 11], ids=["succeeded", "failed"])
@pytest.mark.parametrize(
    ("ttl_s", "age_s", "goes", "again_s"),
    [(100, 99, False, 1), (100, 100, True, None), (0, 0, True, None), (None, 9e6, False, None)],
)
def test_an_ended_job_goes_when_its_time_is_over(
    code: int, ttl_s: int | None, age_s: float, goes: bool, again_s: float | None
) -> None:
    plan = make_plan(ended_job(ttl_s, age_s, code), NOW)
    assert (DeleteJob() in plan.actions, plan.requeue_after_s) == (goes, again_s)


def test_a_job_that_lives_is_never_deleted() -> None:
    job = make_job(runPolicy={"ttlSecondsAfterFinished": 0})
    stored = make_status(completion_time=text(ago(99)))
    for observed in (make_observed(job=job, stored=stored), make_converged(job=job)):
        assert make_plan(observed, NOW).actions == ()


async def test_the_job_itself_is_deleted_and_none_of_the_same_name(world: Any) -> None:
    world.api.objects["ProRLJob", "q"]["spec"]["runPolicy"]["ttlSecondsAfterFinished"] = 30
    await world.start()
    world.watch.kubelet[COORDINATOR] = make_ended(COORDINATOR, 0, finished_at=world.now)
    await world.reconcile()
    assert await world.reconcile(after_s=10) == 20
    await world.reconcile(after_s=20)
    assert world.api.writes == ["delete ProRLJob q"]
    assert await world.reconcile() is None
