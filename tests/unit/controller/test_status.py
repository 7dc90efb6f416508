"""The whole status from observation: phases, roles, times."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from controller_builders import (
    COORDINATOR,
    NOW,
    ROLLOUT,
    TRAINER,
    ago,
    make_condition,
    make_document,
    make_ended,
    make_job,
    make_observed,
    make_pod_view,
    make_status,
    make_word,
    stored_form,
    text,
)
from hypothesis import given
from hypothesis import strategies as st
from prorl_api.exit_codes import ExitCode
from prorl_api.spec_roles import Role
from prorl_api.status import Phase, Progress, ProRLJobStatus, Roles, RoleStatus
from prorl_api.wire import Stage
from prorl_operator.build.ledger import Ledger
from prorl_operator.build.names import Slot
from prorl_operator.plan.observed import Observed, PodView
from prorl_operator.plan.situation import classify
from prorl_operator.plan.status import derive_roles, derive_status

STARTED = make_status(phase=Phase.STARTING)
FRESH = Progress(step=0, total_steps=2000)


def status_of(observed: Observed) -> ProRLJobStatus:
    return derive_status(observed, classify(observed, NOW), NOW)


def starting(stage: Stage, incarnation: int, step: int = 0) -> dict[str, Any]:
    progress = Progress(step=step, total_steps=2000)
    return {"document": make_document(stage, attempt=incarnation, progress=progress)}


def coordinator(incarnation: int = 1, **values: Any) -> PodView:
    return make_pod_view(COORDINATOR, incarnation, **values)


PENDING = coordinator(phase="Pending", started_at=None)
PHASES: Mapping[str, tuple[Observed, Phase]] = {
    "no pod": (Observed(job=make_job()), Phase.PENDING),
    "pod pending": (make_observed(PENDING, document=None), Phase.PENDING),
    "pod pending after a start": (make_observed(PENDING, stored=STARTED), Phase.RECOVERING),
    "gone after a start": (Observed(job=make_job(), stored=STARTED), Phase.RECOVERING),
    "leaving": (make_observed(coordinator(deletion_at=ago(-60))), Phase.RECOVERING),
    "failed": (make_observed(make_ended(COORDINATOR, 19)), Phase.RECOVERING),
    "silent": (make_observed(document=None), Phase.STARTING),
    "silent again": (make_observed(coordinator(2), document=None), Phase.RECOVERING),
    "silent but known to train": (
        make_observed(document=None, stored=make_status(phase=Phase.RUNNING)),
        Phase.RUNNING,
    ),
    "silent, only its predecessor trained": (
        make_observed(coordinator(2), document=None, stored=make_status(phase=Phase.RUNNING)),
        Phase.RECOVERING,
    ),
    "words of its predecessor": (make_observed(coordinator(2)), Phase.RECOVERING),
    "words about another job": (
        make_observed(document=make_document(job_uid="other")),
        Phase.STARTING,
    ),
    "starting": (make_observed(**starting(Stage.STARTING, 1)), Phase.STARTING),
    "starting again": (
        make_observed(coordinator(2), **starting(Stage.STARTING, 2)),
        Phase.RECOVERING,
    ),
    "starting beside checkpoints": (
        make_observed(**starting(Stage.STARTING, 1, step=5)),
        Phase.RECOVERING,
    ),
    "starting, steps are known": (
        make_observed(stored=make_status(), **starting(Stage.STARTING, 1)),
        Phase.RECOVERING,
    ),
    "recovering before a step": (
        make_observed(**starting(Stage.RECOVERING, 1)),
        Phase.STARTING,
    ),
    "recovering": (make_observed(**starting(Stage.RECOVERING, 1, step=7)), Phase.RECOVERING),
    "training": (make_observed(document=make_document(Stage.TRAINING)), Phase.RUNNING),
    "training, a trainer is gone": (
        make_observed(make_ended(TRAINER), document=make_document(Stage.TRAINING)),
        Phase.RUNNING,
    ),
    "saving": (make_observed(document=make_document(Stage.SAVING)), Phase.RUNNING),
    "done": (make_observed(document=make_document(Stage.DONE)), Phase.RUNNING),
    "succeeded": (make_observed(make_ended(COORDINATOR, 0)), Phase.SUCCEEDED),
    "data error": (make_observed(make_ended(COORDINATOR, ExitCode.DATA)), Phase.FAILED),
}


@pytest.mark.parametrize(("observed", "phase"), PHASES.values(), ids=PHASES.keys())
def test_the_phase_of(observed: Observed, phase: Phase) -> None:
    assert status_of(observed).phase is phase


@pytest.mark.parametrize("observed", [o for o, _ in PHASES.values()], ids=PHASES.keys())
def test_the_status_stands_once_it_is_stored(observed: Observed) -> None:
    stored = stored_form(status_of(observed))
    again = replace(observed, stored=stored)
    assert derive_status(again, classify(observed, NOW), NOW) == stored


@pytest.mark.parametrize(
    "blind",
    [
        {"document": None},
        {"document": make_document(Stage.STARTING, progress=FRESH, checkpoint=None)},
        {"document": make_document(attempt=2, progress=FRESH)},
        {"document": make_document(job_uid="other", progress=FRESH)},
        {"pods": ()},
        {"pods": (PENDING,)},
        {"pods": (make_ended(COORDINATOR, 19),), "document": None},
        {"pods": (make_ended(COORDINATOR, 19, exit_message="Traceback"),), "document": None},
        {"pods": (coordinator(2),), "document": None},
        {"pods": (coordinator(deletion_at=ago(-1)),), "document": None},
    ],
    ids=[
        "silent", "starting", "other attempt", "other job", "no pod", "pending", "failed",
        "failed with text", "replaced", "leaving",
    ],
)  # fmt: skip
def test_progress_never_goes_back_while_the_coordinator_cannot_be_asked(
    blind: dict[str, Any],
) -> None:
    status = status_of(make_observed(stored=make_status(), **blind))
    assert status.progress is not None
    assert status.progress.step == 7
    assert status.progress.reward_mean == 0.5
    assert status.checkpoint is not None
    assert status.checkpoint.last_step == 5
    assert status.reference is not None


def test_a_finished_jobs_status_only_learns_the_generation() -> None:
    stored = make_status(phase=Phase.SUCCEEDED, conditions=[make_condition("Completed")])
    observed = make_observed(job=make_job(generation=7), stored=stored)
    assert status_of(observed) == stored.model_copy(update={"observed_generation": 7})


def test_the_start_is_the_first_coordinators_and_stays() -> None:
    assert status_of(Observed(job=make_job())).start_time is None
    assert status_of(make_observed()).start_time == text(ago(3600))
    second = make_observed(coordinator(2, started_at=ago(5)), stored=make_status())
    assert status_of(second).start_time == text(ago(3600))


@pytest.mark.parametrize(
    ("observed", "completion"),
    [
        (make_observed(), None),
        (make_observed(make_ended(COORDINATOR, 19)), None),
        (make_observed(make_ended(COORDINATOR, 0, finished_at=ago(30))), text(ago(30))),
        (make_observed(make_ended(COORDINATOR, 10, finished_at=ago(30))), text(ago(30))),
        (make_observed(make_ended(TRAINER), job=make_job(runPolicy={"maxRestarts": 0})), text(NOW)),
    ],
    ids=["runs", "restarts", "succeeded", "failed", "restarts used up"],
)
def test_the_completion_is_the_end_of_the_coordinator(
    observed: Observed, completion: str | None
) -> None:
    assert status_of(observed).completion_time == completion


def test_restarts_come_from_the_tally_and_the_attempt_from_the_incarnations() -> None:
    tally = Ledger(restarts=4, counted=2, failed={Role.ROLLOUT: 3})
    status = status_of(make_observed(coordinator(5, ledger=tally), stored=make_status()))
    assert (status.restarts, status.restarts_counted, status.attempt) == (4, 2, 5)
    assert status.roles.rollout.failed == 3


def test_roles_count_the_newest_pod_of_every_wanted_slot() -> None:
    job = make_job(rollout={"replicas": 3})
    pods = [
        make_pod_view(ROLLOUT, 1),
        make_pod_view(ROLLOUT, 2, ready=False),
        make_pod_view(Slot(role=Role.ROLLOUT, index=1), deletion_at=ago(-30)),
        make_pod_view(Slot(role=Role.ROLLOUT, index=7)),
    ]
    roles = derive_roles(make_observed(*pods, job=job), none_wanted=False)
    selector = "prorl.dev/job=q,prorl.dev/role=rollout"
    assert roles.rollout == RoleStatus(desired=3, ready=1, selector=selector)
    assert roles.trainer == RoleStatus(desired=1, ready=1)


def test_an_ended_job_wants_no_pods_but_remembers_failures() -> None:
    tally = Ledger(failed={Role.TRAINER: 2})
    observed = make_observed(make_ended(COORDINATOR, 0, ledger=tally))
    selector = "prorl.dev/job=q,prorl.dev/role=rollout"
    assert status_of(observed).roles == Roles(
        trainer=RoleStatus(failed=2), rollout=RoleStatus(selector=selector)
    )


def test_the_wait_for_a_replacement_is_told_in_the_pods_words() -> None:
    observed = make_observed(make_ended(COORDINATOR, 19), stored=make_status(restarts_counted=3))
    conditions = {c.type: c.message for c in status_of(observed).conditions}
    said = conditions["Progressing"]
    assert said.startswith(
        "7 of 2000 steps are done. Pod q-coordinator-0-1 ended with exit code 19"
    )


@pytest.mark.parametrize("code", [ExitCode.SUCCEEDED, ExitCode.DATA], ids=["well", "badly"])
def test_an_ended_job_says_so_in_every_condition(code: ExitCode) -> None:
    observed = make_observed(make_ended(COORDINATOR, code))
    status = {c.type: (c.status, c.reason) for c in status_of(observed).conditions}
    end = {"Failed": ("True", "Data")} if code else {"Completed": ("True", "AllStepsDone")}
    ended = dict.fromkeys(("RolesReady", "Progressing", "Degraded"), ("False", "Finished"))
    assert status == {**ended, "Checkpointed": ("True", "Saved"), **end}


def test_a_running_job_is_neither_completed_nor_failed() -> None:
    types = [c.type for c in status_of(make_observed()).conditions]
    assert types == ["RolesReady", "Progressing", "Checkpointed", "Degraded"]


@given(
    outcome=st.sampled_from(["Failed", "Succeeded", "Stopped"]),
    reason=st.text(max_size=64),
    message=st.text(max_size=300),
    code=st.sampled_from([int(code) for code in ExitCode] + [137]),
    step=st.integers(-5, 5000),
    saved=st.none() | st.integers(0, 5000),
)
def test_any_final_word_gives_a_status_that_can_be_stored(
    outcome: str, reason: str, message: str, code: int, step: int, saved: int | None
) -> None:
    word = make_word(outcome=outcome, reason=reason, message=message, exitCode=code, step=step)
    if saved is not None:
        word = word[:-1] + f', "checkpointStep": {saved}}}'
    observed = make_observed(make_ended(COORDINATOR, code, exit_message=word))
    status = status_of(observed)
    assert stored_form(status) == status
    assert status_of(observed) == status
