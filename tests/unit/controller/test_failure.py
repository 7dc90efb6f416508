"""What the end of a pod means, and when the job has failed for good."""

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
    make_ended,
    make_job,
    make_observed,
    make_pod_view,
    make_status,
    make_word,
    settle,
)
from prorl_api.exit_codes import MEANING, ExitCode
from prorl_api.status import Roles, RoleStatus
from prorl_operator.build.ledger import Ledger
from prorl_operator.build.names import Slot
from prorl_operator.plan.disruption import Disruption
from prorl_operator.plan.failure import (
    End,
    classify_end,
    describe_end,
    waiting_failures,
)
from prorl_operator.plan.job_failure import RESTARTS_EXHAUSTED, find_job_failure
from prorl_operator.plan.last_word import parse_termination
from prorl_operator.plan.observed import Observed, PodView

COORDINATOR_ENDS = {
    ExitCode.SUCCEEDED: End.COMPLETE,
    ExitCode.INTERNAL: End.COUNTED,
    ExitCode.CONFIG: End.FAIL_JOB,
    ExitCode.DATA: End.FAIL_JOB,
    ExitCode.MODEL: End.FAIL_JOB,
    ExitCode.CHECKPOINT: End.FAIL_JOB,
    ExitCode.STORAGE: End.COUNTED,
    ExitCode.NON_FINITE: End.FAIL_JOB,
    ExitCode.NO_SIGNAL: End.FAIL_JOB,
    ExitCode.WEIGHT_SYNC: End.COUNTED,
    ExitCode.VERIFIER: End.COUNTED,
    ExitCode.TRAINER_LOST: End.COUNTED,
    ExitCode.UNAUTHORIZED: End.COUNTED,
    ExitCode.ENGINE: End.COUNTED,
    ExitCode.GUARD: End.FAIL_JOB,
    ExitCode.STOPPED: End.UNCOUNTED,
}
HELPERS = [TRAINER, ROLLOUT, VERIFIER]
GONE_TO: list[dict[str, Any]] = [{"disruption": Disruption.EVICTION}, {"deletion_at": ago(0)}]


@pytest.mark.parametrize("code", ExitCode, ids=lambda code: code.reason)
def test_each_exit_code_of_the_coordinator(code: ExitCode) -> None:
    assert classify_end(make_ended(COORDINATOR, code), ()) is COORDINATOR_ENDS[code]


@pytest.mark.parametrize("code", ExitCode, ids=lambda code: code.reason)
@pytest.mark.parametrize("slot", HELPERS, ids=lambda slot: slot.role)
def test_no_helper_ends_the_job(slot: Slot, code: ExitCode) -> None:
    peaceful = code in (ExitCode.SUCCEEDED, ExitCode.STOPPED)
    assert classify_end(make_ended(slot, code), ()) is (End.UNCOUNTED if peaceful else End.COUNTED)


@pytest.mark.parametrize("slot", [COORDINATOR, *HELPERS], ids=lambda slot: slot.role)
@pytest.mark.parametrize("told", GONE_TO, ids=["disrupted", "deleted"])
@pytest.mark.parametrize("code", [1, ExitCode.CONFIG, 137, 143, None])
def test_a_pod_that_was_told_to_go_has_never_failed(
    slot: Slot, told: dict[str, Any], code: int | None
) -> None:
    assert classify_end(make_ended(slot, code, phase="Failed", **told), ()) is End.DISRUPTED


@pytest.mark.parametrize("told", GONE_TO, ids=["disrupted", "deleted"])
def test_a_coordinator_that_finished_while_told_to_go_has_still_finished(
    told: dict[str, Any],
) -> None:
    assert classify_end(make_ended(COORDINATOR, 0, **told), ()) is End.COMPLETE


@pytest.mark.parametrize("slot", [COORDINATOR, *HELPERS], ids=lambda slot: slot.role)
def test_a_pod_that_no_container_ended_in_is_nobodys_fault(slot: Slot) -> None:
    assert classify_end(make_ended(slot, None, phase="Failed"), ()) is End.DISRUPTED


def with_restarts(limit: int, counted: int, *pods: PodView) -> Observed:
    job = make_job(runPolicy={"maxRestarts": limit})
    stored = make_status(restarts=counted + 5, restarts_counted=counted)
    return make_observed(*pods, job=job, stored=stored)


@pytest.mark.parametrize(
    ("limit", "counted", "fails"),
    [(0, 0, True), (1, 0, False), (1, 1, True), (3, 2, False), (3, 3, True), (3, 4, True)],
)
def test_the_failure_after_the_last_restart_fails_the_job(
    limit: int, counted: int, fails: bool
) -> None:
    failure = find_job_failure(with_restarts(limit, counted, make_ended(TRAINER, 19)), NOW)
    if not fails:
        assert failure is None
    else:
        assert failure is not None
        assert failure.reason == RESTARTS_EXHAUSTED
        assert failure.message.startswith("Pod q-trainer-0-1 ended with exit code 19 ")
        assert failure.message.endswith(
            f" {counted} of {limit} restarts (spec.runPolicy.maxRestarts) are used up."
        )


@pytest.mark.parametrize(
    "pod",
    [
        make_pod_view(TRAINER),
        make_ended(TRAINER, 1, disruption=Disruption.EVICTION),
        make_ended(TRAINER, ExitCode.STOPPED),
        make_ended(TRAINER, None, phase="Failed"),
        make_ended(COORDINATOR, ExitCode.STOPPED),
        make_ended(ROLLOUT, 1),
        make_ended(VERIFIER, 1),
    ],
    ids=["runs", "disrupted", "stopped", "no code", "coordinator stopped", "rollout", "verifier"],
)
def test_a_used_up_budget_bounds_failures_of_coordinator_and_trainer_only(pod: PodView) -> None:
    assert find_job_failure(with_restarts(3, 3, pod), NOW) is None


def again(observed: Observed, at: datetime, **how: Any) -> Observed:
    """The trainer's pod of now ends with code 1."""
    pod = observed.newest(TRAINER)
    assert pod is not None
    ended = {"phase": "Failed", "ready": False, "exit_code": 1, "finished_at": at}
    others = (one for one in observed.pods if one is not pod)
    return replace(observed, pods=(*others, replace(pod, **ended, **how)))


def test_disruptions_use_up_no_restart() -> None:
    observed, at = make_observed(job=make_job(runPolicy={"maxRestarts": 1})), NOW
    for _ in range(3):
        observed = settle(again(observed, at, disruption=Disruption.EVICTION), at)
        at += timedelta(hours=1)
    assert observed.ledger.disruptions == 3
    failed = again(observed, at)
    assert find_job_failure(failed, at) is None
    failed = settle(failed, at)
    at += timedelta(hours=1)
    assert find_job_failure(again(failed, at), at) is not None


def test_a_failure_that_has_its_replacement_is_not_counted_again() -> None:
    pods = make_ended(TRAINER, 1), make_pod_view(TRAINER, 2, ledger=Ledger(counted=1, restarts=1))
    observed = make_observed(*pods, job=make_job(runPolicy={"maxRestarts": 1}))
    assert find_job_failure(observed, NOW) is None
    assert waiting_failures(observed) == []


def test_a_trainer_that_ended_with_a_code_of_the_coordinator_may_be_restarted() -> None:
    assert find_job_failure(make_observed(make_ended(TRAINER, ExitCode.CONFIG)), NOW) is None


def test_the_coordinators_own_words_are_the_jobs_failure() -> None:
    observed = make_observed(make_ended(COORDINATOR, 11, exit_message=make_word(reason="DataRow")))
    failure = find_job_failure(observed, NOW)
    assert failure is not None
    assert failure.reason == "DataRow"
    assert failure.message == (
        "Pod q-coordinator-0-1 ended with exit code 11 (DataRow). Row 3 is bad."
    )


def test_an_earlier_incarnations_config_error_does_not_fail_its_successor() -> None:
    pods = make_ended(COORDINATOR, ExitCode.CONFIG), make_pod_view(COORDINATOR, 2)
    assert find_job_failure(make_observed(*pods), NOW) is None


@pytest.mark.parametrize("reason", ["", "two words", "9lives", "Dash-ed", "naïve"])
def test_a_reason_that_no_condition_may_carry_becomes_the_codes_own(reason: str) -> None:
    word = make_word(reason=reason)
    failure = find_job_failure(make_observed(make_ended(COORDINATOR, 11, exit_message=word)), NOW)
    assert failure is not None
    assert failure.reason == "Data"
    assert "Row 3 is bad." in failure.message


def test_waiting_failures_come_in_the_order_of_their_names() -> None:
    job = make_job(trainer={"replicas": 3})
    pods = [make_ended(Slot(role=TRAINER.role, index=i)) for i in (2, 0)]
    names = [pod.name for pod in waiting_failures(make_observed(*pods, job=job))]
    assert names == ["q-trainer-0-1", "q-trainer-2-1"]


@pytest.mark.parametrize(
    ("pod", "reason", "message"),
    [
        (make_ended(code=14), "Storage", MEANING[ExitCode.STORAGE]),
        (make_ended(code=99), "Internal", MEANING[ExitCode.INTERNAL]),
        (make_ended(code=137, exit_reason="OOMKilled"), "OOMKilled", MEANING[ExitCode.INTERNAL]),
        (make_ended(code=1, exit_reason="Error"), "Internal", MEANING[ExitCode.INTERNAL]),
        (make_ended(code=1, exit_message="Traceback: x\n"), "Internal", "Traceback: x"),
        (make_ended(code=1, exit_message="x" * 5000), "Internal", "x" * 1024),
        (make_ended(code=1, exit_message='{"outcome": "?"}'), "Internal", '{"outcome": "?"}'),
        (make_ended(code=None, exit_reason="Evicted"), "Evicted", MEANING[ExitCode.INTERNAL]),
    ],
    ids=["known", "unknown", "oom", "kubelet", "text", "long text", "other JSON", "no code"],
)
def test_a_pod_without_a_final_word_is_given_one(pod: PodView, reason: str, message: str) -> None:
    word = parse_termination(pod)
    assert (word.reason, word.message) == (reason, message)
    assert word.step == 0
    assert word.checkpoint_step is None


def test_an_end_is_told_with_pod_code_reason_and_words() -> None:
    pod = make_ended(TRAINER, 137, exit_reason="OOMKilled", exit_message="It ate too much.")
    said = "Pod q-trainer-0-1 ended with exit code 137 (OOMKilled). It ate too much."
    assert describe_end(pod) == said


def test_failures_of_other_roles_leave_the_budget_alone() -> None:
    roles = Roles(rollout=RoleStatus(failed=50), verifier=RoleStatus(failed=50))
    stored = make_status(roles=roles, restarts_counted=0)
    job = make_job(runPolicy={"maxRestarts": 1})
    assert find_job_failure(make_observed(make_ended(TRAINER), job=job, stored=stored), NOW) is None
