"""Observed -> Plan: what each situation asks for, and when to look again."""

from dataclasses import replace
from typing import Any

import pytest
from controller_builders import (
    COORDINATOR,
    NOW,
    ROLLOUT,
    TRAINER,
    VERIFIER,
    ago,
    children_of,
    make_condition,
    make_converged,
    make_ended,
    make_job,
    make_observed,
    make_pod_view,
    make_status,
)
from plan_readers import condition_of, failure_of
from prorl_api.exit_codes import ExitCode
from prorl_api.status import Phase
from prorl_operator.plan.actions import Action, ApplyObject, ApplyTokens, CreatePod, DeletePod
from prorl_operator.plan.observed import Observed, PodView, Problem
from prorl_operator.plan.plan import PROBLEM_RETRY_S, invalid_plan, make_plan

KINDS = {"q-config": "ConfigMap", "q": "Service", "q-verifier": "Service"}
KINDS["q-checkpoints"] = "PersistentVolumeClaim"
KINDS |= {f"q-isolated-{part}": "NetworkPolicy" for part in ("ray", "coordinator", "verifier")}


def describe(action: Action) -> str:
    match action:
        case ApplyTokens(for_pods=pods):
            return f"tokens {' '.join(pods)}".strip()
        case ApplyObject(manifest=manifest):
            return f"apply {manifest['kind']} {manifest['metadata']['name']}"
        case CreatePod(manifest=manifest):
            return f"create {manifest['metadata']['name']}"
        case DeletePod(name=name):
            return f"delete {name}"


def actions_of(observed: Observed) -> list[str]:
    return [describe(action) for action in make_plan(observed, NOW).actions]


def test_a_new_job_gets_its_objects_before_its_pods() -> None:
    assert actions_of(Observed(job=make_job())) == [
        "tokens",
        "apply ConfigMap q-config",
        "apply Service q",
        "apply Service q-verifier",
        "apply NetworkPolicy q-isolated-ray",
        "apply NetworkPolicy q-isolated-coordinator",
        "apply NetworkPolicy q-isolated-verifier",
        "apply PersistentVolumeClaim q-checkpoints",
        "create q-coordinator-0-1",
        "create q-trainer-0-1",
        "create q-rollout-0-1",
        "create q-verifier-0-1",
    ]


def test_a_claim_that_the_job_brings_is_not_made() -> None:
    job = make_job(checkpoint={"storage": {"pvc": {"claimName": "mine"}}})
    assert not [a for a in actions_of(Observed(job=job)) if "PersistentVolumeClaim" in a]


@pytest.mark.parametrize("name", KINDS)
def test_a_lost_object_is_made_again(name: str) -> None:
    job = make_job()
    kept = {key: one for key, one in children_of(job).items() if key[1] != name}
    assert actions_of(make_converged(job=job, children=kept)) == []
    assert actions_of(make_observed(job=job, children=kept)) == [f"apply {KINDS[name]} {name}"]


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("q-config", {"data": {"job.json": "{}"}}),
        ("q", {"spec": {"selector": {}, "ports": []}}),
        ("q-verifier", {"metadata": {"name": "q-verifier", "labels": {}}}),
        ("q-checkpoints", {"metadata": {"name": "q-checkpoints", "labels": {}}}),
    ],
)
def test_drift_is_repaired(name: str, change: dict[str, Any]) -> None:
    children = children_of(make_job())
    children[KINDS[name], name] |= change
    assert actions_of(make_observed(children=children)) == [f"apply {KINDS[name]} {name}"]


def test_a_claim_that_was_made_otherwise_is_left_as_it_is() -> None:
    children = children_of(make_job())
    children["PersistentVolumeClaim", "q-checkpoints"]["spec"] = {"volumeName": "pv-1"}
    assert actions_of(make_observed(children=children)) == []


def test_the_tokens_are_applied_once_per_process() -> None:
    assert actions_of(make_observed(tokens_applied=False)) == ["tokens"]
    assert actions_of(make_observed(tokens_applied=True)) == []


def creating(age_s: float, slot: Any = TRAINER, **values: Any) -> PodView:
    defaults = {"phase": "Pending", "ready": False, "created_at": ago(age_s), "started_at": None}
    return make_pod_view(slot, **(defaults | {"waiting_reason": "ContainerCreating"} | values))


def test_a_pod_that_seems_to_miss_its_secret_has_it_applied_again_once() -> None:
    observed = make_observed(creating(20))
    assert actions_of(observed) == ["tokens q-trainer-0-1"]
    again = replace(observed, tokens_reissued_for=frozenset({"q-trainer-0-1"}))
    assert actions_of(again) == []
    assert make_plan(again, NOW).requeue_after_s is None


@pytest.mark.parametrize(
    "pod",
    [
        creating(19),
        creating(99, waiting_reason="ErrImagePull"),
        creating(99, unschedulable="no node"),
        creating(99, deletion_at=ago(-60)),
        creating(99, phase="Running"),
        creating(99, created_at=None),
    ],
    ids=["young", "pulling", "unschedulable", "leaving", "running", "unknown age"],
)
def test_a_pod_that_waits_for_something_else_needs_no_secret(pod: PodView) -> None:
    assert not [a for a in actions_of(make_observed(pod)) if a.startswith("tokens")]


@pytest.mark.parametrize(
    ("observed", "seconds"),
    [
        (make_observed(), 3600.0),
        (make_observed(creating(5)), 15.0),
        (make_observed(creating(19.5)), 1.0),
        (make_observed(problems=(Problem(reason="NameConflict", message="x"),)), PROBLEM_RETRY_S),
        (make_observed(make_pod_view(COORDINATOR, deletion_at=NOW)), 31.0),
        (make_observed(creating(13), make_pod_view(COORDINATOR, deletion_at=NOW)), 7.0),
    ],
    ids=["complete", "creating", "soon stuck", "refused", "leaving", "earliest"],
)
def test_looks_again_when_time_alone_changes_something(
    observed: Observed, seconds: float | None
) -> None:
    assert make_plan(observed, NOW).requeue_after_s == seconds


def test_success_gives_everything_back_but_the_logs_of_what_has_ended() -> None:
    observed = make_observed(make_ended(COORDINATOR, 0), make_ended(ROLLOUT, 1))
    plan = make_plan(observed, NOW)
    deleted = ["delete q-trainer-0-1", "delete q-verifier-0-1"]
    assert [describe(action) for action in plan.actions] == deleted
    assert plan.status.phase is Phase.SUCCEEDED
    assert [event.reason for event in plan.events] == ["Succeeded"]


def test_failure_keeps_every_pod_that_has_ended_for_its_log() -> None:
    observed = make_observed(make_ended(COORDINATOR, ExitCode.DATA), make_ended(ROLLOUT, 1))
    plan = make_plan(observed, NOW)
    deleted = ["delete q-trainer-0-1", "delete q-verifier-0-1"]
    assert [describe(action) for action in plan.actions] == deleted
    assert plan.status.phase is Phase.FAILED
    assert [(event.reason, event.warning) for event in plan.events] == [("Failed", True)]


def test_the_last_restart_fails_the_job_and_stops_the_coordinator() -> None:
    job = make_job(runPolicy={"maxRestarts": 2})
    stored = make_status(restarts=2, restarts_counted=2)
    plan = make_plan(make_observed(make_ended(TRAINER, 1), job=job, stored=stored), NOW)
    assert "delete q-coordinator-0-1" in [describe(action) for action in plan.actions]
    failed = failure_of(plan.status)
    assert failed.reason == "RestartsExhausted"
    assert "2 of 2 restarts (spec.runPolicy.maxRestarts) are used up" in failed.message


@pytest.mark.parametrize("kind", ["Completed", "Failed"])
def test_a_finished_job_is_never_started_again(kind: str) -> None:
    stored = make_status(conditions=[make_condition(kind)])
    nothing = Observed(job=make_job(), stored=stored)
    assert make_plan(nothing, NOW).actions == ()
    late = make_observed(make_ended(TRAINER, 0), stored=stored)
    deleted = ["delete q-coordinator-0-1", "delete q-rollout-0-1", "delete q-verifier-0-1"]
    assert actions_of(late) == deleted


def test_a_finished_job_tells_nothing_more() -> None:
    observed = make_converged(make_ended(COORDINATOR, 0))
    plan = make_plan(observed, NOW)
    assert (plan.events, plan.requeue_after_s) == ((), None)


def test_replacements_are_told_before_what_changed_in_status() -> None:
    leaving = make_pod_view(VERIFIER, deletion_at=ago(-30))
    observed = make_observed(leaving, document=None, stored=make_status(phase=Phase.PENDING))
    assert [e.reason for e in make_plan(observed, NOW).events] == ["PodReplaced", "Started"]


def test_an_unreadable_job_is_said_to_be_so_and_left_alone() -> None:
    stored = make_status(attempt=3, conditions=[make_condition("Progressing")])
    plan = invalid_plan(message="spec.model: what?", generation=4, stored=stored, now=NOW)
    assert plan.actions == ()
    assert plan.status.phase is Phase.FAILED
    assert plan.status.observed_generation == 4
    kept = {"attempt", "progress", "checkpoint", "reference", "start_time"}
    assert plan.status.model_dump(include=kept) == stored.model_dump(include=kept)
    assert [(c.type, c.reason) for c in plan.status.conditions] == [
        ("Progressing", "Because"),
        ("Failed", "InvalidSpec"),
    ]
    assert [(e.reason, e.note) for e in plan.events] == [("Failed", "spec.model: what?")]


def test_an_unreadable_job_is_told_once() -> None:
    first = invalid_plan(message="what?", generation=1, stored=None, now=NOW)
    again = invalid_plan(message="what?", generation=1, stored=first.status, now=ago(-60))
    assert again.status == first.status
    assert again.events == ()
    assert first.status.attempt == 0


def test_a_job_that_became_readable_again_goes_on() -> None:
    unreadable = invalid_plan(message="what?", generation=1, stored=make_status(), now=NOW)
    observed = make_observed(stored=unreadable.status)
    plan = make_plan(observed, NOW)
    assert plan.status.phase is Phase.RUNNING
    assert condition_of(plan.status, "Failed") is None
