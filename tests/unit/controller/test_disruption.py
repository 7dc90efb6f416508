"""Disruptions: whose doing the end of a pod was, and what status says of it."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from controller_builders import (
    EVERY_SLOT,
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
)
from plan_readers import condition_of
from prorl_api.spec_roles import Role
from prorl_api.status import Condition, ProRLJobStatus
from prorl_operator.build.ledger import BOUNDED, Cause
from prorl_operator.build.names import Slot
from prorl_operator.plan.disruption import Disruption
from prorl_operator.plan.failure import fault_of, how_it_ended
from prorl_operator.plan.job_failure import find_job_failure
from prorl_operator.plan.observed import PodView
from prorl_operator.plan.plan import make_plan

LEAVING: dict[str, Any] = {"deletion_at": ago(-30), "told_at": ago(30)}
ENDS: dict[str, tuple[dict[str, Any], Cause]] = {
    "evicted, exit 1": ({"disruption": Disruption.EVICTION}, Cause.DISRUPTION),
    "preempted and killed": ({"code": 137, "disruption": Disruption.PREEMPTION}, Cause.DISRUPTION),
    "node pressure, no code": ({"code": None, "disruption": Disruption.KUBELET}, Cause.DISRUPTION),
    "node lost": ({"code": None, "node_lost": True, "disruption": Disruption.NODE_LOST},
                  Cause.DISRUPTION),
    "deleted, exit 1": (LEAVING, Cause.DELETION),
    "failed before it was deleted": ({"finished_at": ago(31)} | LEAVING, Cause.FAILURE),
    "refused by the kubelet": ({"code": None, "exit_reason": "OutOfcpu"}, Cause.DISRUPTION),
    "over an own limit": ({"code": None, "exit_reason": "Evicted"}, Cause.FAILURE),
    "over an own limit, killed": ({"code": 137, "exit_reason": "Error"}, Cause.FAILURE),
    "over an own limit, saved and stopped": ({"code": 75, "exit_reason": "Evicted"},
                                             Cause.FAILURE),
    "out of memory": ({"code": 137, "exit_reason": "OOMKilled"}, Cause.FAILURE),
    "out of memory while it was going": ({"code": 137, "exit_reason": "OOMKilled"} | LEAVING,
                                         Cause.DELETION),
    "crash": ({"code": 139}, Cause.FAILURE),
    "stopped": ({"code": 75}, Cause.END),
}  # fmt: skip


def ended(slot: Slot, how: dict[str, Any]) -> PodView:
    values = {"code": 1, "finished_at": NOW, "phase": "Failed"} | how
    return make_ended(slot, values.pop("code"), **values)


@pytest.mark.parametrize("slot", EVERY_SLOT, ids=lambda slot: slot.role)
@pytest.mark.parametrize(("how", "cause"), ENDS.values(), ids=ENDS)
def test_every_end_is_in_its_bucket(slot: Slot, how: dict[str, Any], cause: Cause) -> None:
    assert fault_of(ended(slot, how), (), NOW).cause is cause


@pytest.mark.parametrize("slot", EVERY_SLOT, ids=lambda slot: slot.role)
@pytest.mark.parametrize(("how", "cause"), ENDS.values(), ids=ENDS)
def test_a_replaced_pod_is_counted_once_and_only_a_failure_uses_up_the_budget(
    slot: Slot, how: dict[str, Any], cause: Cause
) -> None:
    later, failed = NOW + timedelta(seconds=60), cause is Cause.FAILURE
    job = make_job(runPolicy={"maxRestarts": int(failed)})
    observed = settle(make_observed(ended(slot, how), job=job, stored=make_status()), later)
    assert observed.incarnations[slot] == 2
    status = make_plan(observed, later).status
    restarted = slot.role in BOUNDED and cause in (Cause.FAILURE, Cause.END)
    taken = cause in (Cause.DISRUPTION, Cause.DELETION)
    assert (status.restarts, status.restarts_counted, status.disruptions) == (
        restarted, restarted and failed, taken,
    )  # fmt: skip
    assert getattr(status.roles, slot.role.value).failed == failed
    assert find_job_failure(observed, later) is None


def test_a_verifier_that_goes_in_peace_over_its_own_limit_says_so() -> None:
    over = "Pod ephemeral local storage usage exceeds the total limit of containers 1Gi."
    pod = make_ended(VERIFIER, 0, exit_reason="Evicted", exit_message=over)
    assert fault_of(pod, (), NOW).cause is Cause.FAILURE
    assert how_it_ended(pod) == f"ended with exit code 0 (Evicted). {over}"


def test_a_pod_whose_container_left_no_code_is_told_without_one() -> None:
    pod = make_ended(ROLLOUT, None, exit_reason="Evicted", exit_message="Too much.")
    assert how_it_ended(pod) == "ended without an exit code (Evicted). Too much."


def test_trainers_that_fail_together_use_up_one_restart() -> None:
    job = make_job(trainer={"replicas": 3}, runPolicy={"maxRestarts": 1})
    observed = make_converged(job=job)
    for index in range(3):
        failed = make_ended(Slot(role=Role.TRAINER, index=index), 1, finished_at=ago(9 - index))
        others = [p for p in observed.pods if p.slot != failed.slot]
        observed = replace(observed, pods=(*others, failed))
        observed = carry_out(observed, make_plan(observed, NOW))
    status = make_plan(observed, NOW).status
    assert (status.restarts, status.restarts_counted) == (1, 1)
    assert (status.phase, status.roles.trainer.failed) == ("Running", 3)


def test_a_failure_beside_an_eviction_waits_no_longer_for_it() -> None:
    job = make_job(trainer={"replicas": 2}, runPolicy={"maxRestarts": 0})
    evicted = make_ended(TRAINER, 1, disruption=Disruption.EVICTION, told_at=ago(5))
    observed = settle(make_observed(evicted, job=job))
    beside = make_ended(Slot(role=Role.TRAINER, index=1), 134)
    others = [p for p in observed.pods if p.slot != beside.slot]
    observed = settle(replace(observed, pods=(*others, beside)))
    status = make_plan(observed, NOW).status
    assert (status.restarts_counted, status.disruptions) == (0, 1)
    assert status.roles.trainer.failed == 1
    assert observed.incarnations[beside.slot] == 2


def disrupted(status: ProRLJobStatus | None) -> Condition | None:
    return condition_of(status, "Disrupted")


def test_a_job_that_was_never_disrupted_does_not_speak_of_it() -> None:
    assert disrupted(make_converged().stored) is None


def test_disrupted_names_what_took_the_pods_until_all_are_ready() -> None:
    evicted = make_pod_view(TRAINER, deletion_at=ago(-60), disruption=Disruption.EVICTION)
    observed = make_observed(evicted)
    first = make_plan(observed, NOW)
    said = disrupted(first.status)
    assert said is not None
    assert (said.status, said.reason) == ("True", "EvictionByEvictionAPI")
    assert said.message == "Gone or going: q-trainer-0-1 (EvictionByEvictionAPI)."
    waiting = settle(carry_out(observed, first))
    assert disrupted(waiting.stored) == said
    back = replace(waiting, pods=tuple(_running(p) for p in waiting.pods if not p.leaving))
    after = disrupted(settle(back).stored)
    assert after is not None
    assert (after.status, after.reason) == ("False", "AllReady")
    assert after.message.endswith(f"Before: {said.message}")
    assert settle(back).stored == settle(settle(back)).stored


def _running(pod: PodView) -> PodView:
    return make_pod_view(pod.slot, pod.incarnation, ledger=pod.ledger)


def test_a_pod_that_is_gone_is_a_disruption_too() -> None:
    observed = make_observed()
    gone = replace(observed, pods=tuple(p for p in observed.pods if p.slot != ROLLOUT))
    said = disrupted(make_plan(gone, NOW).status)
    assert said is not None
    assert (said.reason, "rollout-0 (Gone)" in said.message) == ("Gone", True)


def test_a_pod_that_is_marked_to_be_taken_is_not_lost_before_it_goes() -> None:
    """The mark comes before the deletion, which may be refused."""
    observed = settle(make_observed(*(make_pod_view(slot) for slot in EVERY_SLOT)))
    marked = [
        replace(pod, disruption=Disruption.EVICTION) if pod.slot == TRAINER else pod
        for pod in observed.pods
    ]
    plan = make_plan(replace(observed, pods=tuple(marked)), NOW)
    assert (plan.actions, plan.status) == ((), observed.stored)


def test_a_failure_is_no_disruption() -> None:
    status = make_plan(make_observed(make_ended(TRAINER, 137)), NOW).status
    assert disrupted(status) is None


def test_of_many_lost_pods_a_few_are_named() -> None:
    job = make_job(trainer={"replicas": 9})
    pods = [make_pod_view(Slot(role=Role.TRAINER, index=i), deletion_at=ago(-60)) for i in range(9)]
    said = disrupted(make_plan(make_observed(*pods, job=job), NOW).status)
    assert said is not None
    assert said.message.startswith("Gone or going: q-trainer-0-1 (Deleted), ")
    assert said.message.endswith(" q-trainer-4-1 (Deleted) and 4 more.")


def test_another_disruption_of_a_recovering_job_is_the_one_that_is_told() -> None:
    before = make_condition("Disrupted", reason="Deleted", message="Before.")
    stored = make_status(conditions=[before], disruptions=1)
    evicted = make_ended(TRAINER, 1, disruption=Disruption.TAINT)
    said = disrupted(make_plan(make_observed(evicted, stored=stored), NOW).status)
    assert said is not None
    assert said.reason == "DeletionByTaintManager"
    assert said.last_transition_time == before.last_transition_time
