"""A training that no longer moves is told, and restarted where the spec wants it."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from controller_builders import (
    COORDINATOR,
    NOW,
    ROLLOUT,
    TRAINER,
    ago,
    carry_out,
    make_condition,
    make_document,
    make_ended,
    make_job,
    make_observed,
    make_pod_view,
    make_status,
    text,
)
from plan_readers import condition_of, failure_of, tallies_of
from prorl_api.status import Phase, Progress
from prorl_api.wire import Stage
from prorl_operator.plan.actions import CreatePod, DeletePod
from prorl_operator.plan.observed import Observed
from prorl_operator.plan.plan import make_plan
from prorl_operator.plan.stall import describe_stall

LIMIT_S = 1000
POLICY = {"stallSeconds": LIMIT_S}


def stepped(seconds: float, stage: Stage = Stage.TRAINING, **values: Any) -> Observed:
    """The last step was finished so long ago."""
    progress = Progress(step=7, total_steps=2000, last_time=text(ago(seconds)))
    policy = POLICY | values.pop("policy", {})
    defaults = {
        "document": make_document(stage, progress=progress),
        "job": make_job(runPolicy=policy, trainer={"replicas": 2}),
        "stored": make_status(progress=progress, conditions=[make_condition("Progressing")]),
    }
    return make_observed(*values.pop("pods", ()), **(defaults | values))


def test_a_step_in_time_is_no_stall() -> None:
    plan = make_plan(stepped(LIMIT_S - 1), NOW)
    assert condition_of(plan.status, "Stalled") is None
    assert plan.requeue_after_s == 1


def test_no_step_for_too_long_is_told_once() -> None:
    observed = stepped(LIMIT_S)
    plan = make_plan(observed, NOW)
    said = condition_of(plan.status, "Stalled")
    assert said is not None
    assert (said.status, said.reason) == ("True", "NoStepFinished")
    assert said.message == (
        "No step was finished for 1000 s (spec.runPolicy.stallSeconds). 7 of 2000 steps are done."
    )
    assert plan.actions == ()
    assert plan.status.phase is Phase.RUNNING
    assert [(e.reason, e.warning) for e in plan.events] == [("Stalled", True)]
    after = carry_out(observed, plan)
    later = make_plan(after, NOW + timedelta(seconds=500))
    assert (later.status, later.events) == (after.stored, ())


def test_the_next_step_ends_the_stall() -> None:
    observed = carry_out(stepped(LIMIT_S), make_plan(stepped(LIMIT_S), NOW))
    moved = replace(observed, document=stepped(1).document)
    said = condition_of(make_plan(moved, NOW).status, "Stalled")
    assert said is not None
    assert (said.status, said.reason) == ("False", "Moving")


STILL: dict[str, dict[str, Any]] = {
    "paused by its guard": {"stage": Stage.PAUSED},
    "done": {"stage": Stage.DONE},
    "a trainer is not there": {"pods": [make_pod_view(TRAINER, phase="Pending")]},
    "no rollout is there": {"pods": [make_pod_view(ROLLOUT, phase="Pending")]},
    "the coordinator is leaving": {"pods": [make_pod_view(COORDINATOR, deletion_at=ago(-60))]},
    "a trainer has just started": {"pods": [make_pod_view(TRAINER, started_at=ago(5))]},
    "the pause has just ended": {
        "stored": make_status(
            conditions=[make_condition("Progressing", last_transition_time=text(ago(5)))]
        )
    },
}


@pytest.mark.parametrize("values", STILL.values(), ids=STILL)
def test_nobody_expects_a_step(values: dict[str, Any]) -> None:
    assert describe_stall(stepped(9 * LIMIT_S, **values), NOW) == ""


@pytest.mark.parametrize("stage", [Stage.STARTING, Stage.RECOVERING, Stage.SAVING])
def test_a_start_or_a_save_that_hangs_is_a_stall(stage: Stage) -> None:
    assert describe_stall(stepped(LIMIT_S, stage), NOW).startswith("No step was finished")


def test_a_coordinator_that_does_not_answer_is_stalled_too() -> None:
    assert describe_stall(stepped(LIMIT_S, document=None), NOW) != ""


RESTART = {"onStall": "Restart"}


def test_a_stall_restarts_coordinator_and_trainers_as_one_failure() -> None:
    observed = stepped(LIMIT_S, policy=RESTART)
    plan = make_plan(observed, NOW)
    made = tallies_of(plan.actions)
    assert list(made) == ["q-trainer-0-2", "q-trainer-1-2"]
    assert [(t.restarts, t.counted, t.disruptions) for t in made.values()] == [(1, 1, 0)] * 2
    gone = [a.name for a in plan.actions if isinstance(a, DeletePod)]
    assert gone == ["q-coordinator-0-1", "q-trainer-0-1", "q-trainer-1-1"]
    after = carry_out(observed, plan)
    assert make_plan(after, NOW).actions == ()


@pytest.mark.parametrize("how", ["ended", "gone"])
def test_the_coordinator_that_goes_for_a_stall_is_no_disruption(how: str) -> None:
    after = carry_out(
        stepped(LIMIT_S, policy=RESTART), make_plan(stepped(LIMIT_S, policy=RESTART), NOW)
    )
    others = tuple(p for p in after.pods if p.slot != COORDINATOR)
    end = make_ended(COORDINATOR, 75, deletion_at=ago(-60), told_at=NOW, finished_at=ago(-40))
    world = replace(after, pods=(*others, *([end] if how == "ended" else [])))
    plan = make_plan(world, NOW + timedelta(seconds=41))
    assert "q-coordinator-0-2" in [a.name for a in plan.actions if isinstance(a, CreatePod)]
    status = make_plan(carry_out(world, plan), NOW + timedelta(seconds=41)).status
    assert (status.restarts, status.restarts_counted, status.disruptions) == (1, 1, 0)


def test_a_stall_without_a_restart_left_fails_the_job() -> None:
    plan = make_plan(stepped(LIMIT_S, policy=RESTART | {"maxRestarts": 0}), NOW)
    failed = failure_of(plan.status)
    assert failed.reason == "RestartsExhausted"
    assert failed.message.startswith("No step was finished for 1000 s")
    assert failed.message.endswith("0 of 0 restarts (spec.runPolicy.maxRestarts) are used up.")


def test_a_stall_that_is_only_reported_uses_up_nothing() -> None:
    plan = make_plan(stepped(LIMIT_S, policy={"maxRestarts": 0}), NOW)
    assert plan.status.phase is Phase.RUNNING
