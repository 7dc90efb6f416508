"""spec.failurePolicy: the first rule that matches decides, the defaults after it."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from controller_builders import (
    COORDINATOR,
    EVERY_SLOT,
    NOW,
    ROLLOUT,
    TRAINER,
    VERIFIER,
    ago,
    carry_out,
    make_ended,
    make_job,
    make_observed,
    make_pod_view,
    make_status,
    make_word,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from plan_readers import failure_of, tallies_of
from prorl_api.exit_codes import ExitCode
from prorl_api.spec_failure import FailureAction, FailureRule
from prorl_api.spec_roles import Role
from prorl_api.status import Phase
from prorl_operator.build.ledger import Ledger
from prorl_operator.build.names import Slot
from prorl_operator.plan.actions import CreatePod
from prorl_operator.plan.disruption import Disruption
from prorl_operator.plan.failure import End, classify_end
from prorl_operator.plan.observed import Observed, PodView
from prorl_operator.plan.plan import make_plan

SECOND = Slot(role=Role.TRAINER, index=1)


def rule(action: str, **values: Any) -> dict[str, Any]:
    return {"action": action, **values}


def parsed(*rules: dict[str, Any]) -> list[FailureRule]:
    return [FailureRule.model_validate(one) for one in rules]


def ruled(*pods: PodView, rules: list[dict[str, Any]], **values: Any) -> Observed:
    job = make_job(
        failurePolicy={"rules": rules}, trainer={"replicas": 2}, **values.pop("spec", {})
    )
    return make_observed(*pods, job=job, stored=values.pop("stored", make_status()), **values)


def created(observed: Observed) -> dict[str, Ledger]:
    return tallies_of(make_plan(observed, NOW).actions)


OOM = make_ended(TRAINER, 137, exit_reason="OOMKilled")
EVICTED = make_ended(TRAINER, 1, disruption=Disruption.EVICTION)
SAID = make_ended(COORDINATOR, 14, exit_message=make_word(reason="DiskGone", exitCode=14))
MATCHES: dict[str, tuple[PodView, dict[str, Any], bool]] = {
    "its code": (OOM, {"onExitCodes": [1, 137]}, True),
    "another code": (OOM, {"onExitCodes": [1]}, False),
    "another role": (OOM, {"onExitCodes": [137], "roles": ["rollout"]}, False),
    "one of its roles": (OOM, {"onExitCodes": [137], "roles": ["rollout", "trainer"]}, True),
    "the container's reason": (OOM, {"onReasons": ["OOMKilled"]}, True),
    "the reason of its code": (make_ended(COORDINATOR, 14), {"onReasons": ["Storage"]}, True),
    "its own word": (SAID, {"onReasons": ["DiskGone"]}, True),
    "what took it": (EVICTED, {"onReasons": ["EvictionByEvictionAPI"]}, True),
    "the code of a pod told to go": (EVICTED, {"onExitCodes": [1]}, False),
    "the made-up reason of a pod told to go": (EVICTED, {"onReasons": ["Internal"]}, False),
    "a deletion": (make_ended(TRAINER, 1, deletion_at=NOW), {"onReasons": ["Deleted"]}, True),
}


@pytest.mark.parametrize(("pod", "when", "matches"), MATCHES.values(), ids=MATCHES)
def test_a_rule_matches_by_role_and_code_or_reason(
    pod: PodView, when: dict[str, Any], matches: bool
) -> None:
    end = classify_end(pod, parsed(rule("FailJob", **when)))
    assert (end is End.FAIL_JOB) is matches
    assert matches or end is classify_end(pod, ())


ACTIONS: dict[str, tuple[dict[str, Any], End, End]] = {
    "fail": (rule("FailJob"), End.FAIL_JOB, End.FAIL_JOB),
    "ignore": (rule("Ignore"), End.UNCOUNTED, End.DISRUPTED),
    "replace": (rule("ReplacePod"), End.COUNTED, End.DISRUPTED),
    "replace and count": (rule("ReplacePod", count=True), End.COUNTED, End.DISRUPTED),
    "replace, no count": (rule("ReplacePod", count=False), End.UNCOUNTED, End.DISRUPTED),
    "restart": (rule("RestartTrainers"), End.COUNTED, End.DISRUPTED),
    "restart, no count": (rule("RestartTrainers", count=False), End.UNCOUNTED, End.DISRUPTED),
}


@pytest.mark.parametrize("slot", EVERY_SLOT, ids=lambda slot: slot.role)
@pytest.mark.parametrize(("one", "failed", "taken"), ACTIONS.values(), ids=ACTIONS)
def test_every_action_of_an_end_and_of_a_disruption(
    slot: Slot, one: dict[str, Any], failed: End, taken: End
) -> None:
    rules = parsed(one | {"onReasons": ["OOMKilled", "DeletionByTaintManager"]})
    assert classify_end(make_ended(slot, 137, exit_reason="OOMKilled"), rules) is failed
    assert classify_end(make_ended(slot, 137, disruption=Disruption.TAINT), rules) is taken


def test_the_first_rule_that_matches_decides() -> None:
    rules = [rule("Ignore", onExitCodes=[15]), rule("FailJob", onExitCodes=[15, 16])]
    assert classify_end(make_ended(COORDINATOR, 15), parsed(*rules)) is End.UNCOUNTED
    assert classify_end(make_ended(COORDINATOR, 16), parsed(*rules)) is End.FAIL_JOB
    assert classify_end(make_ended(COORDINATOR, 11), parsed(*rules)) is End.FAIL_JOB  # default


def test_a_coordinator_that_has_succeeded_is_beyond_all_rules() -> None:
    rules = parsed(rule("FailJob", onReasons=["Succeeded", "Completed"]))
    done = make_ended(COORDINATOR, 0, exit_reason="Completed")
    assert classify_end(done, rules) is End.COMPLETE


def test_a_code_that_fails_the_job_by_default_can_be_tried_again() -> None:
    rules = [rule("ReplacePod", onExitCodes=[int(ExitCode.NON_FINITE)], roles=["coordinator"])]
    observed = ruled(make_ended(COORDINATOR, 15), rules=rules)
    assert make_plan(observed, NOW).status.phase is Phase.RECOVERING
    assert created(observed)["q-coordinator-0-2"].counted == 1


@pytest.mark.parametrize("slot", [TRAINER, ROLLOUT, VERIFIER], ids=lambda slot: slot.role)
def test_any_role_can_fail_the_job(slot: Slot) -> None:
    rules = [rule("FailJob", onReasons=["OOMKilled"])]
    oom = make_ended(slot, 137, exit_reason="OOMKilled")
    status = make_plan(ruled(oom, rules=rules), NOW).status
    failed = failure_of(status)
    assert failed.reason == "OOMKilled"
    assert failed.message.startswith(f"Pod {oom.name} ended with exit code 137 (OOMKilled).")


def test_a_disruption_can_fail_the_job_before_the_pod_has_gone() -> None:
    leaving = make_pod_view(TRAINER, disruption=Disruption.PREEMPTION, deletion_at=ago(-60))
    rules = [rule("FailJob", onReasons=["PreemptionByScheduler"])]
    status = make_plan(ruled(leaving, rules=rules), NOW).status
    failed = failure_of(status)
    assert failed.reason == "PreemptionByScheduler"


@pytest.mark.parametrize("suspended", [True, False])
def test_pods_that_the_operator_deletes_are_no_case_for_a_rule(suspended: bool) -> None:
    rules = [rule("FailJob", onReasons=["Deleted"])]
    surplus = make_pod_view(Slot(role=Role.ROLLOUT, index=7), deletion_at=ago(-60))
    gone = make_ended(COORDINATOR, 75, deletion_at=ago(-60))
    observed = ruled(gone if suspended else surplus, rules=rules, spec={"suspend": suspended})
    phase = make_plan(observed, NOW).status.phase
    assert phase is (Phase.SUSPENDING if suspended else Phase.RUNNING)


RESTART = [rule("RestartTrainers", onExitCodes=[134])]


def test_the_trainers_that_were_there_go_along_and_count_once() -> None:
    observed = ruled(make_ended(SECOND, 134, finished_at=ago(1)), rules=RESTART)
    assert created(observed) == {
        "q-trainer-0-2": Ledger(),
        "q-trainer-1-2": Ledger(restarts=1, counted=1, failed={Role.TRAINER: 1}),
    }
    notes = [event.note for event in make_plan(observed, NOW).events]
    assert any("q-trainer-0-1 is restarted with trainer-1; " in note for note in notes)
    after = carry_out(observed, make_plan(observed, NOW))
    assert make_plan(after, NOW).actions == ()


def test_nobody_goes_along_while_the_first_one_waits_for_its_turn() -> None:
    failed = make_ended(SECOND, 134, started_at=ago(9), finished_at=ago(1))
    stored = make_status(restarts=3, restarts_counted=3)
    observed = ruled(failed, rules=RESTART, stored=stored)
    assert created(observed) == {}
    later = make_plan(observed, NOW + timedelta(seconds=40))
    made = [a.name for a in later.actions if isinstance(a, CreatePod)]
    assert made == ["q-trainer-0-2", "q-trainer-1-2"]


def test_a_trainer_that_is_newer_than_the_fault_stays() -> None:
    fresh = make_pod_view(TRAINER, 2, created_at=NOW, started_at=NOW)
    observed = ruled(fresh, make_ended(SECOND, 134, finished_at=ago(1)), rules=RESTART)
    assert list(created(observed)) == ["q-trainer-1-2"]


def test_a_coordinators_end_can_restart_the_trainers() -> None:
    observed = ruled(make_ended(COORDINATOR, 134, finished_at=ago(1)), rules=RESTART)
    assert list(created(observed)) == ["q-coordinator-0-2", "q-trainer-0-2", "q-trainer-1-2"]


RULES = st.lists(
    st.builds(
        FailureRule,
        roles=st.lists(st.sampled_from(Role), max_size=2),
        on_reasons=st.lists(
            st.sampled_from(["OOMKilled", "Deleted", *Disruption]), min_size=1, max_size=3
        ),
        action=st.sampled_from([a for a in FailureAction if a is not FailureAction.FAIL_JOB]),
        count=st.sampled_from([None, True, False]),
    ),
    max_size=3,
)


@settings(deadline=None, max_examples=60)
@given(RULES, st.sampled_from(EVERY_SLOT), st.sampled_from([d for d in Disruption if d != "Gone"]))
def test_no_rule_charges_a_disruption(
    rules: list[FailureRule], slot: Slot, disruption: Disruption
) -> None:
    job = make_job(runPolicy={"maxRestarts": 0})
    policy = job.spec.failure_policy.model_copy(update={"rules": rules})
    spec = job.spec.model_copy(update={"failure_policy": policy})
    job = job.model_copy(update={"spec": spec})
    observed = make_observed(make_ended(slot, 1, disruption=disruption), job=job)
    later = NOW + timedelta(seconds=60)
    after = carry_out(observed, make_plan(observed, later), later)
    status = make_plan(replace(after, document=None), later).status
    assert (status.restarts_counted, status.disruptions) == (0, 1)
