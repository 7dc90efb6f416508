"""The kind of moment in a job's life."""

import pytest
from controller_builders import (
    COORDINATOR,
    NOW,
    TRAINER,
    make_condition,
    make_ended,
    make_job,
    make_observed,
    make_pod_view,
    make_status,
)
from prorl_api.exit_codes import ExitCode
from prorl_operator.plan.observed import Observed
from prorl_operator.plan.situation import INVALID_SPEC, Situation, classify

BROKE = make_job(runPolicy={"maxRestarts": 0})
COMPLETED = make_status(conditions=[make_condition("Completed")])
FAILED = make_status(conditions=[make_condition("Failed", reason="Data")])
UNREADABLE = make_status(conditions=[make_condition("Failed", reason=INVALID_SPEC)])
REVIVED = make_status(conditions=[make_condition("Failed", status="False")])


@pytest.mark.parametrize(
    ("observed", "situation"),
    [
        (make_observed(), Situation.ACTIVE),
        (Observed(job=make_job()), Situation.ACTIVE),
        (make_observed(make_ended(COORDINATOR, 0)), Situation.SUCCEEDED),
        (make_observed(make_ended(COORDINATOR, 0), make_ended(TRAINER, 1), job=BROKE),
         Situation.SUCCEEDED),
        (make_observed(make_ended(COORDINATOR, ExitCode.DATA)), Situation.FAILED),
        (make_observed(make_ended(TRAINER, 1), job=BROKE), Situation.FAILED),
        (make_observed(make_ended(COORDINATOR, ExitCode.STOPPED)), Situation.ACTIVE),
        (make_observed(make_ended(COORDINATOR, 0), make_pod_view(COORDINATOR, 2)),
         Situation.ACTIVE),
        (make_observed(stored=COMPLETED), Situation.FINISHED),
        (make_observed(stored=FAILED), Situation.FINISHED),
        (make_observed(make_ended(COORDINATOR, 0), stored=FAILED), Situation.FINISHED),
        (make_observed(make_ended(COORDINATOR, ExitCode.DATA), stored=COMPLETED),
         Situation.FINISHED),
        (make_observed(stored=UNREADABLE), Situation.ACTIVE),
        (make_observed(stored=REVIVED), Situation.ACTIVE),
    ],
    ids=[
        "all runs", "nothing there", "coordinator done", "done although a trainer failed",
        "data error", "no restart left", "coordinator stopped", "done but replaced",
        "completed", "failed", "failed stays failed", "completed stays completed",
        "unreadable once", "failed no more",
    ],
)  # fmt: skip
def test_the_situation_follows_from_what_is_observed(
    observed: Observed, situation: Situation
) -> None:
    assert classify(observed, NOW) is situation
