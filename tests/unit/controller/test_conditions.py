"""Conditions: reasons, sentences with the number that mattered, and when they changed."""

import pytest
from controller_builders import (
    NOW,
    ago,
    make_checkpoint,
    make_condition,
    make_document,
    make_job,
    make_observed,
    make_status,
    text,
)
from prorl_api.status import ConditionType, Phase, Progress, Roles, RoleStatus
from prorl_api.wire import RoleCount, Stage
from prorl_operator.plan import conditions
from prorl_operator.plan.blockers import Blocked
from prorl_operator.plan.conditions import MESSAGE_LIMIT, Verdict
from prorl_operator.plan.failure import JobFailure
from prorl_operator.plan.progress import Training

TRAINED = Training(
    progress=Progress(step=7, total_steps=50), checkpoint=make_checkpoint(5), reference=None
)
UNTRAINED = Training(progress=None, checkpoint=None, reference=None)
FULL = Roles(
    coordinator=RoleStatus(desired=1, ready=1),
    trainer=RoleStatus(desired=2, ready=2),
    rollout=RoleStatus(desired=4, ready=4),
    verifier=RoleStatus(desired=1, ready=1),
)
REDUCED = FULL.model_copy(
    update={
        "rollout": RoleStatus(desired=4, ready=3, failed=6),
        "verifier": RoleStatus(desired=1),
    }
)


def said(verdict: Verdict) -> tuple[bool, str, str]:
    return verdict.status, verdict.reason, verdict.message


def test_roles_are_ready_when_every_wanted_pod_is() -> None:
    assert said(conditions.roles_ready(FULL, None)) == (True, "AllReady", "All 8 pods are ready.")


def test_roles_that_lack_pods_are_named_with_both_numbers() -> None:
    message = "Pods are not ready yet: 3 of 4 rollout, 0 of 1 verifier ready."
    assert said(conditions.roles_ready(REDUCED, None)) == (False, "PodsNotReady", message)


def test_what_blocks_pods_is_said_before_how_many_are_ready() -> None:
    blocked = Blocked(reason="Unschedulable", message="No node has a GPU.")
    expected = (False, "Unschedulable", "No node has a GPU.")
    assert said(conditions.roles_ready(FULL, blocked)) == expected


SEVEN = "7 of 50 steps are done."


@pytest.mark.parametrize(
    ("phase", "stage", "training", "wait", "expected"),
    [
        (Phase.RUNNING, Stage.TRAINING, TRAINED, "",
         (True, "Training", f"{SEVEN} Loading engines.")),
        (Phase.RUNNING, None, TRAINED, "", (True, "Training", SEVEN)),
        (Phase.RUNNING, Stage.SAVING, TRAINED, "", (True, "Saving", f"{SEVEN} Loading engines.")),
        (Phase.RUNNING, Stage.PAUSED, TRAINED, "", (False, "Paused", f"{SEVEN} Loading engines.")),
        (Phase.RUNNING, Stage.TRAINING, UNTRAINED, "",
         (True, "Training", "No step is done yet. Loading engines.")),
        (Phase.PENDING, None, UNTRAINED, "",
         (False, "WaitingForPods", "The coordinator is not running yet.")),
        (Phase.STARTING, None, UNTRAINED, "", (False, "Starting", "The coordinator is starting.")),
        (Phase.STARTING, Stage.STARTING, UNTRAINED, "", (False, "Starting", "Loading engines.")),
        (Phase.RECOVERING, None, TRAINED, "",
         (False, "Recovering", f"{SEVEN} The coordinator is being replaced.")),
        (Phase.RECOVERING, Stage.RECOVERING, TRAINED, "",
         (False, "Recovering", f"{SEVEN} Loading engines.")),
        (Phase.RECOVERING, Stage.RECOVERING, TRAINED, "Pod x ended.",
         (False, "Recovering", f"{SEVEN} Pod x ended.")),
    ],
    ids=[
        "training", "silent", "saving", "paused", "no step", "pending", "starting silently",
        "starting",
        "recovering silently", "recovering", "waiting for a replacement",
    ],
)  # fmt: skip
def test_progressing_says_what_is_waited_for(
    phase: Phase,
    stage: Stage | None,
    training: Training,
    wait: str,
    expected: tuple[bool, str, str],
) -> None:
    document = make_document(stage, message="Loading engines.") if stage else None
    observed = make_observed(document=document)
    assert said(conditions.progressing(observed, phase, training, wait)) == expected


@pytest.mark.parametrize(("usable", "least"), [(0, 1), (1, 2), (2, 2)])
def test_a_run_with_fewer_engines_than_its_least_does_not_progress(usable: int, least: int) -> None:
    observed = make_observed(
        job=make_job(rollout={"replicas": 4, "minReplicas": least}),
        document=make_document(engines=RoleCount(wanted=4, usable=usable)),
    )
    message = f"Generation waits: {usable} engines can be used, and spec.rollout.minReplicas is"
    expected = (True, "Training", SEVEN)
    if usable < least:
        expected = (False, "WaitingForEngines", f"{SEVEN} {message} {least}.")
    assert said(conditions.progressing(observed, Phase.RUNNING, TRAINED, "")) == expected


def test_checkpointed_names_step_and_place() -> None:
    where = "pvc://q-checkpoints/q/checkpoints/step-00000005"
    message = f"The checkpoint of step 5 is durable at {where}."
    assert said(conditions.checkpointed(TRAINED)) == (True, "Saved", message)
    none = (False, "NoCheckpoint", "No checkpoint is durable yet.")
    assert said(conditions.checkpointed(UNTRAINED)) == none


def test_a_running_job_with_fewer_helpers_is_degraded() -> None:
    message = (
        "Training goes on: 3 of 4 rollout pods are ready (6 failed so far), "
        "0 of 1 verifier pods are ready (0 failed so far)."
    )
    assert said(conditions.degraded(REDUCED, Phase.RUNNING, 3)) == (True, "RolesReduced", message)
    waits = message.replace("Training goes on", "Generation waits for engines")
    assert said(conditions.degraded(REDUCED, Phase.RUNNING, 4)) == (True, "RolesReduced", waits)


@pytest.mark.parametrize(
    ("roles", "phase"),
    [
        (FULL, Phase.RUNNING),
        (REDUCED, Phase.STARTING),
        (REDUCED, Phase.RECOVERING),
        (FULL.model_copy(update={"trainer": RoleStatus(desired=2, ready=1)}), Phase.RUNNING),
    ],
    ids=["full", "starting", "recovering", "a trainer lacks"],
)
def test_only_training_that_goes_on_with_less_is_degraded(roles: Roles, phase: Phase) -> None:
    expected = (False, "FullStrength", "No role is reduced.")
    assert said(conditions.degraded(roles, phase, 1)) == expected


def test_the_end_is_told_with_the_steps_or_the_failure() -> None:
    assert said(conditions.completed(TRAINED)) == (True, "AllStepsDone", SEVEN)
    failure = JobFailure(reason="Data", message="Row 3.")
    assert said(conditions.failed(failure)) == (True, "Data", "Row 3.")
    ended = (False, "Finished", "The job has ended.")
    assert said(conditions.finished_verdicts(ConditionType.PROGRESSING)) == ended


READY = Verdict(type=ConditionType.ROLES_READY, status=True, reason="AllReady", message="All.")


@pytest.mark.parametrize(
    ("before", "since"),
    [
        (None, NOW),
        (make_condition("RolesReady", status="True", reason="Other"), ago(3600)),
        (make_condition("RolesReady", status="False"), NOW),
        (make_condition("RolesReady", status="Unknown"), NOW),
        (make_condition("Degraded", status="True"), NOW),
    ],
    ids=["new", "same status", "other status", "unknown before", "other type"],
)
def test_the_transition_time_changes_with_the_status_only(before: object, since: object) -> None:
    stored = make_status(conditions=[before] if before else [])
    (condition,) = conditions.settle([READY], stored, 3, NOW)
    assert condition.last_transition_time == text(since)  # type: ignore[arg-type]
    assert (condition.status, condition.reason, condition.message) == ("True", "AllReady", "All.")
    assert condition.observed_generation == 3


def test_a_false_condition_stays_since_it_turned_false() -> None:
    before = make_condition("RolesReady", status="False")
    waiting = conditions.roles_ready(REDUCED, None)
    (condition,) = conditions.settle([waiting], make_status(conditions=[before]), 1, NOW)
    assert condition.status == "False"
    assert condition.last_transition_time == text(ago(3600))


def test_a_message_is_cut_to_what_the_schema_allows() -> None:
    verdict = conditions.failed(JobFailure(reason="Data", message="x" * 9000))
    (condition,) = conditions.settle([verdict], None, 1, NOW)
    assert condition.message == "x" * MESSAGE_LIMIT
