"""Suspension: the save first, the coordinator last, nothing counted, and on from there."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from controller_builders import (
    COORDINATOR,
    NOW,
    TRAINER,
    VERIFIER,
    ago,
    carry_out,
    make_converged,
    make_ended,
    make_job,
    make_observed,
    make_pod_view,
    make_status,
    make_word,
    settle,
    text,
)
from hypothesis import given
from hypothesis import strategies as st
from plan_readers import condition_of
from prorl_api.commands import CommandKind
from prorl_api.exit_codes import ExitCode
from prorl_api.status import ConditionType, Phase, ProRLJobStatus
from prorl_operator.build.names import Slot
from prorl_operator.plan.actions import CreatePod, DeletePod, Plan
from prorl_operator.plan.observed import Observed, PodView
from prorl_operator.plan.plan import make_plan

WORD = make_word(outcome="Stopped", exitCode=75, reason="Stopped", step=9, checkpointStep=9)
STOPPED = make_ended(COORDINATOR, ExitCode.STOPPED, exit_message=WORD)


def trained(*pods: PodView) -> Observed:
    """A job that has trained, and whose pods are these now; the others run."""
    return make_observed(*pods, stored=make_status())


def with_suspend(observed: Observed, suspend: bool = True, **spec: Any) -> Observed:
    return replace(observed, job=make_job(generation=2, suspend=suspend, **spec))


def with_pods_gone(observed: Observed) -> Observed:
    """What was asked to go has gone."""
    return replace(observed, pods=tuple(pod for pod in observed.pods if not pod.leaving))


def suspended() -> Observed:
    """A job that has trained, was suspended and is without pods."""
    observed = with_suspend(trained(STOPPED))
    for _ in range(2):
        observed = with_pods_gone(settle(observed))
    return settle(observed)


def deleted(plan: Plan) -> set[Slot | str]:
    return {action.name for action in plan.actions if isinstance(action, DeletePod)}


def stored(observed: Observed) -> ProRLJobStatus:
    assert observed.stored is not None
    return observed.stored


def condition(observed: Observed) -> Any:
    return condition_of(observed.stored, ConditionType.SUSPENDED)


def reasons(plan: Plan) -> list[str]:
    return [event.reason for event in plan.events]


def test_a_running_coordinator_is_asked_to_save_while_everything_stays() -> None:
    plan = make_plan(with_suspend(make_converged()), NOW)
    assert plan.actions == ()
    assert [command.kind for command in plan.commands] == [CommandKind.STOP]
    assert plan.status.phase is Phase.SUSPENDING
    assert plan.status.suspending_since == text(NOW)
    assert reasons(plan) == ["Suspending"]
    assert plan.requeue_after_s == 60


def test_the_same_question_is_asked_until_the_coordinator_has_ended() -> None:
    first = with_suspend(make_converged())
    second = carry_out(first, make_plan(first, NOW))
    later = NOW + timedelta(seconds=40)
    asked = [make_plan(first, NOW).commands, make_plan(second, later).commands]
    assert asked[0] == asked[1]
    assert make_plan(second, later).requeue_after_s == 20


def test_the_coordinator_goes_when_all_others_have_gone() -> None:
    observed = with_suspend(trained(STOPPED))
    plan = make_plan(observed, NOW)
    assert deleted(plan) == {"q-rollout-0-1", "q-trainer-0-1", "q-verifier-0-1"}
    assert plan.commands == ()
    observed = carry_out(observed, plan)
    assert deleted(make_plan(observed, NOW)) == set(), "they are still leaving"
    assert deleted(make_plan(with_pods_gone(observed), NOW)) == {STOPPED.name}


def test_what_the_coordinator_has_saved_at_last_is_in_the_status_before_it_goes() -> None:
    observed = suspended()
    assert stored(observed).phase is Phase.SUSPENDED
    assert stored(observed).suspending_since is None
    assert stored(observed).progress.step == 9  # type: ignore[union-attr]
    assert stored(observed).checkpoint.last_step == 9  # type: ignore[union-attr]
    assert (condition(observed).status, condition(observed).reason) == ("True", "Suspended")
    assert "9 of 2000 steps" in condition(observed).message
    assert stored(observed).roles.rollout.desired == 0
    assert make_plan(observed, NOW).actions == ()


def test_a_coordinator_that_does_not_end_is_not_waited_for_longer_than_the_grace() -> None:
    observed = with_suspend(make_converged(), checkpoint={"gracePeriodSeconds": 30})
    observed = carry_out(observed, make_plan(observed, NOW))
    assert make_plan(observed, NOW + timedelta(seconds=29)).actions == ()
    late = make_plan(observed, NOW + timedelta(seconds=30))
    assert deleted(late) == {pod.name for pod in observed.pods}
    assert late.commands == ()


def test_a_coordinator_that_has_never_run_has_nothing_to_save() -> None:
    pod = make_pod_view(COORDINATOR, phase="Pending", ready=False, started_at=None)
    plan = make_plan(with_suspend(trained(pod)), NOW)
    assert pod.name in deleted(plan)
    assert plan.commands == ()


def test_one_that_is_told_to_go_meanwhile_may_finish_its_save() -> None:
    pod = make_pod_view(COORDINATOR, deletion_at=NOW + timedelta(seconds=50))
    assert make_plan(with_suspend(trained(pod)), NOW).actions == ()


def test_a_job_that_is_made_suspended_gets_no_pod_and_no_object() -> None:
    observed = settle(Observed(job=make_job(suspend=True)))
    assert observed.pods == ()
    assert observed.children == {}
    assert stored(observed).phase is Phase.SUSPENDED
    assert stored(observed).attempt == 0


def test_it_goes_on_without_a_restart_and_as_the_next_attempt() -> None:
    observed = with_suspend(suspended(), suspend=False)
    plan = make_plan(observed, NOW)
    created = [action for action in plan.actions if isinstance(action, CreatePod)]
    assert [action.incarnation for action in created] == [2, 2, 2, 2]
    assert plan.status.phase is Phase.RECOVERING
    observed = carry_out(observed, plan)
    told = make_plan(observed, NOW)
    assert reasons(told) == ["Resumed"]
    observed = settle(observed)
    assert condition(observed).status == "False"
    assert (stored(observed).restarts, stored(observed).attempt) == (0, 2)


def test_pods_that_a_quota_keeps_out_of_a_resumed_job_are_not_taken_for_lost_ones() -> None:
    observed = with_suspend(suspended(), suspend=False)
    observed = carry_out(observed, make_plan(observed, NOW))
    kept_out = replace(observed, pods=tuple(p for p in observed.pods if p.slot != TRAINER))
    again = carry_out(kept_out, make_plan(kept_out, NOW))
    assert condition(again).reason == "Resuming"
    assert stored(again).restarts == 0
    done = settle(again)
    assert (condition(done).status, stored(done).restarts) == ("False", 0)


def test_a_change_of_mind_waits_for_the_end_of_what_has_begun() -> None:
    observed = with_suspend(trained(STOPPED))
    observed = carry_out(observed, make_plan(observed, NOW))
    observed = with_suspend(observed, suspend=False)
    assert make_plan(observed, NOW).status.phase is Phase.SUSPENDING
    observed = with_pods_gone(observed)
    observed = with_pods_gone(settle(observed, passes=1))
    assert observed.pods == ()
    assert make_plan(observed, NOW).status.phase is Phase.SUSPENDED
    observed = settle(observed)
    assert stored(observed).phase is Phase.RECOVERING
    assert {pod.incarnation for pod in observed.pods} == {2}


def test_a_job_that_is_done_with_its_last_step_has_succeeded() -> None:
    observed = with_suspend(trained(make_ended(COORDINATOR, 0)))
    assert make_plan(observed, NOW).status.phase is Phase.SUCCEEDED


def test_a_job_that_cannot_go_on_fails_also_while_it_is_suspended() -> None:
    observed = with_suspend(trained(make_ended(COORDINATOR, ExitCode.CONFIG)))
    assert make_plan(observed, NOW).status.phase is Phase.FAILED


@pytest.mark.parametrize("pod", [make_ended(COORDINATOR, 1), make_ended(TRAINER, 1)])
def test_what_crashes_meanwhile_is_neither_replaced_nor_counted(pod: Any) -> None:
    observed = with_suspend(trained(pod), runPolicy={"maxRestarts": 0})
    plan = make_plan(observed, NOW)
    assert plan.status.phase is Phase.SUSPENDING
    assert not [action for action in plan.actions if isinstance(action, CreatePod)]
    assert plan.status.restarts_counted == 0


MOMENTS = st.lists(st.sampled_from(["suspend", "resume", "pass", "gone", "end", "late"]))


@given(MOMENTS)
def test_whatever_happens_a_resumed_job_has_all_its_pods_and_a_suspended_one_none(
    moments: Iterable[str],
) -> None:
    observed, now = make_converged(), NOW
    for moment in moments:
        observed, now = after(moment, observed, now)
    for suspend in (True, False):
        observed = with_suspend(observed, suspend=suspend)
        for _ in range(4):
            observed, now = after("late", with_pods_gone(observed), now)
            observed = settle(observed, now)
        observed = with_pods_gone(observed)
        assert len(observed.pods) == (0 if suspend else 4)
    assert stored(observed).restarts == 0


def after(moment: str, observed: Observed, now: datetime) -> tuple[Observed, datetime]:
    if moment in ("suspend", "resume"):
        observed = with_suspend(observed, suspend=moment == "suspend")
    elif moment == "late":
        now += timedelta(seconds=61)
    elif moment == "gone":
        observed = with_pods_gone(observed)
    elif moment == "end":
        observed = replace(observed, pods=tuple(map(stop, observed.pods)))
    return carry_out(observed, make_plan(observed, now), now), now


def stop(pod: Any) -> Any:
    """The coordinator obeys, if it has been asked to go."""
    if pod.slot != COORDINATOR or not pod.leaving:
        return pod
    return replace(pod, phase="Failed", exit_code=ExitCode.STOPPED, finished_at=ago(0), ready=False)


def test_a_verifier_is_not_left_behind() -> None:
    observed = with_suspend(trained(STOPPED, make_pod_view(VERIFIER, incarnation=3)))
    assert "q-verifier-0-3" in deleted(make_plan(observed, NOW))
