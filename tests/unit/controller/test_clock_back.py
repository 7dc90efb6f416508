"""The clock of the operator goes back by an hour: nothing is due at once, nothing is forgotten."""

from dataclasses import replace
from datetime import datetime, timedelta
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
    make_document,
    make_ended,
    make_job,
    make_observed,
    make_pod_view,
    make_status,
    settle,
    text,
)
from hypothesis import given
from hypothesis import strategies as st
from prorl_api.spec_roles import Role
from prorl_api.status import Phase, Progress
from prorl_api.wire import Stage
from prorl_operator.build.ledger import LATE_S, Cause, Fault, Last, Ledger, latest
from prorl_operator.build.names import Slot
from prorl_operator.plan.actions import CreatePod, DeletePod
from prorl_operator.plan.disruption import Disruption
from prorl_operator.plan.observed import Observed
from prorl_operator.plan.plan import make_plan
from prorl_operator.plan.throttle import LEAST_PAUSE_S, status_pause_s

BACK = NOW - timedelta(hours=1)
"""What the clock says after NOW."""
LIMITS = {
    "pendingDeadlineSeconds": 60, "activeDeadlineSeconds": 7200, "stallSeconds": 60,
    "onStall": "Restart", "ttlSecondsAfterFinished": 60,
}  # fmt: skip


def made(observed: Observed, now: datetime) -> list[str]:
    actions = make_plan(observed, now).actions
    return [a.name for a in actions if isinstance(a, CreatePod | DeletePod)]


WORLDS: dict[str, dict[str, Any]] = {
    "running": {},
    "a pod is pending": {"pods": [make_pod_view(ROLLOUT, phase="Pending", created_at=ago(9))]},
    "paused": {"document": make_document(Stage.PAUSED)},
    "a coordinator is leaving": {"pods": [make_pod_view(COORDINATOR, deletion_at=ago(-60))]},
}


@pytest.mark.parametrize("values", WORLDS.values(), ids=WORLDS)
def test_no_deadline_of_a_job_passes_at_once(values: dict[str, Any]) -> None:
    just = Progress(step=7, total_steps=9, last_time=text(NOW))
    more = {"document": make_document(progress=just)} | values
    pods = more.pop("pods", ())
    stored = make_status(pending_since=text(ago(5)), start_time=text(ago(60)))
    job = make_job(runPolicy=LIMITS)
    world = make_converged(*pods, job=job, stored=stored, **more)
    plan = make_plan(world, BACK)
    assert plan.status.phase is not Phase.FAILED
    assert made(world, BACK) == []
    assert plan.requeue_after_s is None or plan.requeue_after_s > 0
    assert not any(c.type in ("Failed", "Stalled") for c in plan.status.conditions)
    assert plan.status.start_time == text(ago(60))


def test_an_ended_job_is_not_deleted_before_its_time() -> None:
    ended = make_status(
        phase=Phase.SUCCEEDED, completion_time=text(NOW),
        conditions=[make_condition("Completed", last_transition_time=text(NOW))],
    )  # fmt: skip
    world = make_observed(job=make_job(runPolicy=LIMITS), stored=ended)
    assert not any("DeleteJob" in repr(a) for a in make_plan(world, BACK).actions)


@pytest.mark.parametrize("slot", [COORDINATOR, TRAINER, ROLLOUT, VERIFIER], ids=lambda s: s.role)
@pytest.mark.parametrize("how", ["disrupted", "the first failure"])
def test_what_is_replaced_at_once_does_not_wait_for_the_clock(slot: Slot, how: str) -> None:
    disruption = Disruption.EVICTION if how == "disrupted" else None
    world = make_converged()
    others = tuple(pod for pod in world.pods if pod.slot != slot)
    end = make_ended(slot, 1, disruption=disruption)
    assert any(name.startswith(f"q-{slot.role}-0-2") for name in
               made(replace(world, pods=(*others, end)), BACK))  # fmt: skip


def test_a_suspension_that_has_begun_gets_its_whole_grace() -> None:
    stored = make_status(suspending_since=text(ago(5)))
    plan = make_plan(make_observed(job=make_job(suspend=True), stored=stored), BACK)
    assert plan.actions == ()
    assert [c.id for c in plan.commands] == [f"suspend-{text(ago(5))}"]


def test_status_is_written_as_soon_as_by_another_clock() -> None:
    stored = make_status()
    wanted = stored.model_copy(update={"progress": Progress(step=8, total_steps=2000)})
    assert status_pause_s(stored, wanted, NOW, BACK) == LEAST_PAUSE_S


def test_two_ranks_that_are_lost_together_after_the_clock_went_back_are_one_fault() -> None:
    """Otherwise one node could use up all restarts of a job with many trainers."""
    before = Ledger(counted=3, restarts=3, last={Last.FAILURE: int(NOW.timestamp())})
    slots = [Slot(role=Role.TRAINER, index=i) for i in range(8)]
    times = {"created_at": ago(3700), "started_at": ago(3690), "finished_at": BACK}
    pods = [make_ended(slot, 19, ledger=before, **times) for slot in slots]
    job = make_job(trainer={"replicas": 8}, runPolicy={"backoff": {"baseSeconds": 1}})
    world = settle(make_observed(*pods, job=job), BACK + timedelta(seconds=60))
    assert world.ledger.counted == 4
    again = carry_out(world, make_plan(world, BACK + timedelta(seconds=61)))
    assert again.ledger.counted == 4


JUMPS = st.lists(st.integers(-7200, 7200).filter(lambda s: abs(s) > LATE_S), max_size=6)


@given(jumps=JUMPS, cause=st.sampled_from([Cause.FAILURE, Cause.DISRUPTION]))
def test_faults_count_once_each_however_the_clock_jumps_between_them(
    jumps: list[int], cause: Cause
) -> None:
    at, tally = NOW, Ledger()
    for number, jump in enumerate(jumps, start=1):
        at += timedelta(seconds=jump)
        since = at - timedelta(hours=9)
        for _ in range(3):
            fault = Fault(role=Role.TRAINER, cause=cause, at=at, pod_since=since)
            tally = latest([tally, tally.with_fault(fault)])
        assert max(tally.counted, tally.disruptions) == number
