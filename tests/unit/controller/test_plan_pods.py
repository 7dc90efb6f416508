"""Which pods are made and which are deleted."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from controller_builders import (
    COORDINATOR,
    EVERY_SLOT,
    IMAGE,
    NOW,
    ROLLOUT,
    TRAINER,
    VERIFIER,
    ago,
    make_checkpoint,
    make_ended,
    make_job,
    make_observed,
    make_pod_view,
    make_status,
)
from plan_readers import tallies_of
from prorl_api.runtime import Env
from prorl_api.spec_roles import Role
from prorl_api.wire import TerminationMessage
from prorl_operator.build.ledger import Ledger
from prorl_operator.build.names import Slot
from prorl_operator.kube.events import NOTE_LIMIT
from prorl_operator.plan.actions import CreatePod, DeletePod
from prorl_operator.plan.disruption import Disruption
from prorl_operator.plan.observed import Observed
from prorl_operator.plan.pods import PodPlan, deletions, next_incarnation, plan_pods

LEAVING = ago(-60)
STARTED = make_status()


def planned(observed: Observed) -> PodPlan:
    return plan_pods(observed, NOW)


def deleted(plan: PodPlan) -> list[str]:
    return [action.name for action in plan.actions if isinstance(action, DeletePod)]


def slot(role: Role, index: int) -> Slot:
    return Slot(role=role, index=index)


def test_a_new_job_gets_one_pod_in_every_slot_and_counts_nothing() -> None:
    job = make_job(trainer={"replicas": 2}, rollout={"replicas": 2})
    plan = planned(Observed(job=job, default_image=IMAGE))
    assert tallies_of(plan.actions) == dict.fromkeys(
        [
            "q-coordinator-0-1", "q-trainer-0-1", "q-trainer-1-1",
            "q-rollout-0-1", "q-rollout-1-1", "q-verifier-0-1",
        ],
        Ledger(),
    )  # fmt: skip
    assert (plan.events, deleted(plan), plan.requeue_after_s) == ((), [], None)


def test_a_new_coordinator_is_told_of_the_last_checkpoint_in_status() -> None:
    """Of the job itself no status is read."""
    gone = make_ended(COORDINATOR, 19)
    status = make_status(checkpoint=make_checkpoint(40))
    made = planned(make_observed(gone, stored=status)).actions[0]
    assert isinstance(made, CreatePod)
    env = {one["name"]: one.get("value") for one in made.manifest["spec"]["containers"][0]["env"]}
    assert env.get(Env.DURABLE_STEP) == "40"


def test_a_complete_job_is_left_alone() -> None:
    assert planned(make_observed()) == PodPlan(ledger=Ledger())


def test_a_deleted_trainer_pod_is_replaced_at_once() -> None:
    plan = planned(make_observed(make_pod_view(TRAINER, 3, deletion_at=LEAVING)))
    assert tallies_of(plan.actions) == {"q-trainer-0-4": Ledger(disruptions=1)}
    assert deleted(plan) == []
    (event,) = plan.events
    assert event.reason == "PodReplaced"
    assert event.note == "Pod q-trainer-0-3 was deleted; incarnation 4 replaces it."
    assert not event.warning


def test_a_deleted_coordinator_is_waited_for() -> None:
    plan = planned(make_observed(make_pod_view(COORDINATOR, deletion_at=LEAVING)))
    assert (plan.actions, plan.events, plan.requeue_after_s) == ((), (), 91)


def test_a_failed_pod_goes_only_once_its_replacement_carries_the_count() -> None:
    old = make_ended(TRAINER, 19)
    plan = planned(make_observed(old))
    make, remove = plan.actions
    assert isinstance(make, CreatePod)
    assert tallies_of(plan.actions) == {
        "q-trainer-0-2": Ledger(restarts=1, counted=1, failed={Role.TRAINER: 1})
    }
    assert remove == DeletePod(name=old.name, uid=old.uid, once_created="q-trainer-0-2")
    (event,) = plan.events
    assert event.warning
    assert event.note.startswith("Pod q-trainer-0-1 ended with exit code 19 (TrainerLost). ")
    assert event.note.endswith("; incarnation 2 replaces it.")


def test_the_event_of_a_restart_says_why_in_the_pods_own_words() -> None:
    word = TerminationMessage(
        outcome="Failed", exit_code=14, reason="Storage", message="No space left." + "x" * 1500
    )
    old = make_ended(COORDINATOR, 14, exit_message=word.model_dump_json(by_alias=True))
    (event,) = planned(make_observed(old)).events
    assert "(Storage). No space left." in event.note
    assert event.note.endswith("; incarnation 2 replaces it.")
    assert len(event.note) <= NOTE_LIMIT


def test_a_restart_of_the_coordinator_has_its_own_event() -> None:
    (event,) = planned(make_observed(make_ended(COORDINATOR, 19))).events
    assert (event.reason, event.identity) == ("Restarted", "coordinator-0-2")


@pytest.mark.parametrize("code", [19, 1], ids=["failed", "killed by SIGTERM"])
@pytest.mark.parametrize("one", EVERY_SLOT, ids=lambda s: s.role)
def test_a_disruption_is_no_restart_in_any_role(one: Slot, code: int) -> None:
    plan = planned(make_observed(make_ended(one, code, disruption=Disruption.EVICTION)))
    assert list(tallies_of(plan.actions).values()) == [Ledger(disruptions=1)]
    (event,) = plan.events
    assert "was disrupted (EvictionByEvictionAPI)" in event.note
    assert not event.warning


@pytest.mark.parametrize("one", [ROLLOUT, VERIFIER], ids=lambda s: s.role)
def test_a_failed_helper_is_tallied_but_is_no_restart_of_the_job(one: Slot) -> None:
    plan = planned(make_observed(make_ended(one, 1)))
    assert list(tallies_of(plan.actions).values()) == [Ledger(failed={one.role: 1})]


def test_pods_that_fail_together_are_one_fault() -> None:
    job = make_job(trainer={"replicas": 2})
    pods = [make_ended(COORDINATOR, 19), make_ended(TRAINER, 1), make_ended(slot(Role.TRAINER, 1))]
    stored = make_status(restarts=4, restarts_counted=1)
    plan = planned(make_observed(*pods, job=job, stored=stored))
    # The second failure is worth a pause, so every one of these ran for a healthy hour.
    assert [tally.counted for tally in tallies_of(plan.actions).values()] == [2, 2, 2]
    assert (plan.ledger.restarts, plan.ledger.counted) == (5, 2)
    assert plan.ledger.failed == {Role.COORDINATOR: 1, Role.TRAINER: 2}


def test_the_shortest_wait_is_the_plans() -> None:
    pods = [make_ended(COORDINATOR, 19, started_at=ago(5), finished_at=ago(3))]
    pods += [make_ended(TRAINER, 19, started_at=ago(9), finished_at=ago(8))]
    plan = planned(make_observed(*pods, stored=make_status(restarts_counted=1)))
    assert (plan.actions, plan.requeue_after_s) == ((), 2)


def without(one: Slot, **values: Any) -> Observed:
    observed = make_observed(**values)
    pods = tuple(pod for pod in observed.pods if pod.slot != one)
    return replace(observed, pods=pods)


@pytest.mark.parametrize(
    ("observed", "name", "tally"),
    [
        (without(TRAINER), "q-trainer-0-2", Ledger(disruptions=1)),
        (without(COORDINATOR), "q-coordinator-0-2", Ledger(disruptions=1)),
        (without(ROLLOUT), "q-rollout-0-2", Ledger(disruptions=1)),
        (without(COORDINATOR, incarnations={}, stored=make_status(attempt=6)),
         "q-coordinator-0-7", Ledger(disruptions=1)),
        (without(TRAINER, incarnations={}, stored=STARTED), "q-trainer-0-1", Ledger(disruptions=1)),
    ],
    ids=["trainer", "coordinator", "rollout", "status knows the attempt", "job had started"],
)  # fmt: skip
def test_a_pod_that_vanished_is_replaced_and_not_counted(
    observed: Observed, name: str, tally: Ledger
) -> None:
    plan = planned(observed)
    assert tallies_of(plan.actions) == {name: tally}
    (event,) = plan.events
    assert "is gone" in event.note
    assert not event.warning


@pytest.mark.parametrize(
    "observed",
    [
        without(ROLLOUT, incarnations={}, stored=STARTED),
        without(VERIFIER, incarnations={}, stored=STARTED),
        without(TRAINER, incarnations={}, stored=make_status(start_time=None)),
    ],
    ids=["rollout", "verifier", "trainer before the start"],
)
def test_a_pod_that_nobody_remembers_is_made_without_a_word(observed: Observed) -> None:
    plan = planned(observed)
    assert list(tallies_of(plan.actions).values()) == [Ledger()]
    assert plan.events == ()


def test_a_scaled_down_rollout_loses_its_highest_indices() -> None:
    pods = [make_pod_view(slot(Role.ROLLOUT, i)) for i in (0, 3, 10, 2, 1)]
    plan = planned(make_observed(*pods, job=make_job(rollout={"replicas": 2})))
    assert tallies_of(plan.actions) == {}
    assert deleted(plan) == ["q-rollout-10-1", "q-rollout-3-1", "q-rollout-2-1"]


def test_a_scaled_up_rollout_gets_the_next_indices() -> None:
    scaled = replace(make_observed(), job=make_job(rollout={"replicas": 2}))
    plan = planned(scaled)
    assert tallies_of(plan.actions) == {"q-rollout-1-1": Ledger()}


def test_leftovers_of_earlier_incarnations_go() -> None:
    pods = [make_ended(TRAINER, 19), make_pod_view(TRAINER, 2), make_pod_view(COORDINATOR, 1)]
    plan = planned(make_observed(*pods, make_pod_view(COORDINATOR, 2)))
    assert deleted(plan) == ["q-coordinator-0-1", "q-trainer-0-1"]
    assert tallies_of(plan.actions) == {}


def test_nobody_is_asked_to_leave_twice() -> None:
    pods = [make_pod_view(TRAINER, deletion_at=LEAVING), make_pod_view(TRAINER, 2)]
    assert planned(make_observed(*pods)).actions == ()
    assert deletions(pods) == (DeletePod(name="q-trainer-0-2", uid="uid-of-q-trainer-0-2"),)


def test_a_coordinator_on_a_lost_node_is_replaced_and_stays_marked() -> None:
    lost = make_pod_view(COORDINATOR, deletion_at=NOW - timedelta(seconds=31))
    plan = planned(make_observed(lost))
    assert tallies_of(plan.actions) == {"q-coordinator-0-2": Ledger(disruptions=1)}
    assert deleted(plan) == []


@pytest.mark.parametrize(
    ("values", "incarnation"),
    [
        ({"pods": (), "incarnations": {}}, 1),
        ({"pods": (make_pod_view(COORDINATOR, 2), make_pod_view(COORDINATOR, 4))}, 5),
        ({"pods": (), "incarnations": {COORDINATOR: 6}}, 7),
        ({"pods": (), "incarnations": {}, "stored": make_status(attempt=8)}, 9),
        ({"pods": (), "incarnations": {TRAINER: 9}}, 1),
    ],
    ids=["first", "after pods", "after memory", "after the attempt", "of its own"],
)
def test_an_incarnation_is_never_used_twice(values: dict[str, Any], incarnation: int) -> None:
    assert next_incarnation(COORDINATOR, make_observed(**values)) == incarnation


def test_the_attempt_fences_the_coordinator_only() -> None:
    observed = make_observed(pods=(), incarnations={}, stored=make_status(attempt=8))
    assert next_incarnation(TRAINER, observed) == 1
