"""What the operator makes of a storage that is slow, or away for ten minutes."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from controller_builders import (
    COORDINATOR,
    NOW,
    ago,
    carry_out,
    make_converged,
    make_document,
    make_job,
    make_observed,
    make_status,
    make_word,
    text,
)
from prorl_api.exit_codes import ExitCode
from prorl_api.status import Condition, Phase, Progress, ProRLJobStatus
from prorl_api.wire import Stage
from prorl_operator.plan.observed import Observed, PodView
from prorl_operator.plan.plan import make_plan
from prorl_trainer.checkpoint.away import PATIENCE_S

TEN_MINUTES_S = 600.0
START_S = 20.0
"""From a coordinator's start to its first look at the storage, or its end for it."""
GONE = "/s/q/checkpoints cannot be written: Stale file handle (ESTALE). The last checkpoint stands."
WAITS = "Waiting until the checkpoint of step 7 is durable"


def said(status: ProRLJobStatus, kind: str) -> Condition:
    return next(c for c in status.conditions if c.type == kind)


def test_a_run_that_waits_for_a_slow_save_says_so() -> None:
    observed = make_converged(document=make_document(Stage.TRAINING, message=WAITS))
    condition = said(make_plan(observed, NOW).status, "Progressing")
    assert (condition.status, condition.reason) == ("True", "Training")
    assert condition.message == f"7 of 2000 steps are done. {WAITS}"


def test_a_stall_says_what_the_run_waits_for() -> None:
    done = Progress(step=7, total_steps=2000, last_time=text(ago(1000)))
    observed = make_observed(
        job=make_job(runPolicy={"stallSeconds": 1000}),
        document=make_document(Stage.TRAINING, message=WAITS, progress=done),
    )
    message = said(make_plan(observed, NOW).status, "Stalled").message
    assert message.startswith("No step was finished for 1000 s")
    assert message.endswith(f"7 of 2000 steps are done. {WAITS}")


def started(pod: PodView, now: datetime) -> PodView:
    at = now - timedelta(seconds=1)
    return replace(pod, phase="Running", ready=True, created_at=at, started_at=now)


def ended(pod: PodView, now: datetime) -> PodView:
    word = make_word(exitCode=14, reason="Storage", message=GONE, step=7, checkpointStep=5)
    return replace(
        pod, phase="Failed", ready=False, exit_code=ExitCode.STORAGE, exit_message=word,
        finished_at=now,
    )  # fmt: skip


class Outage:
    """A job that runs, and whose storage goes away at NOW for so long."""

    def __init__(self, observed: Observed, *, waits: bool, seconds: float = TEN_MINUTES_S) -> None:
        self.world = observed
        self.waits = waits
        self.now, self.back = NOW, NOW + timedelta(seconds=seconds)
        self.said: list[str] = []
        self._change(ended(self._coordinator(), NOW))

    def _coordinator(self) -> PodView:
        pod = self.world.coordinator
        assert pod is not None
        return pod

    def _change(self, pod: PodView) -> None:
        others = tuple(p for p in self.world.pods if p.slot != COORDINATOR)
        self.world = replace(self.world, pods=(*others, pod))

    def _look(self) -> float | None:
        plan = make_plan(self.world, self.now)
        self.said.append(said(plan.status, "Progressing").message)
        self.world = carry_out(self.world, plan, self.now)
        return plan.requeue_after_s

    def run(self) -> ProRLJobStatus:
        """Until a coordinator trains again, or the job has failed."""
        while True:
            wait = self._look()
            assert self.world.stored is not None
            pod = self._coordinator()
            if self.world.stored.phase is Phase.FAILED:
                return self.world.stored
            if pod.ended:
                assert wait is not None
                self.now += timedelta(seconds=wait)
                continue
            if self._starts(started(pod, self.now)):
                self._look()
                return self.world.stored

    def _starts(self, pod: PodView) -> bool:
        """Whether it comes to train; it ends for the storage otherwise."""
        self.now += timedelta(seconds=START_S)
        if self.waits:
            self.now = max(self.now, min(self.back, self.now + timedelta(seconds=PATIENCE_S)))
        trains = self.now >= self.back
        self._change(pod if trains else ended(pod, self.now))
        if trains:
            document = make_document(attempt=pod.incarnation)
            self.world = replace(self.world, document=document)
        return trains


def running(counted: int = 0) -> Observed:
    stored = make_status(restarts=counted, restarts_counted=counted)
    return make_converged(stored=stored)


def test_ten_minutes_without_storage_cost_one_restart() -> None:
    outage = Outage(running(), waits=True)
    status = outage.run()
    assert (status.phase, status.restarts_counted, status.attempt) == (Phase.RUNNING, 1, 2)
    assert status.checkpoint is not None
    assert status.checkpoint.last_step == 5
    assert (outage.now - NOW).total_seconds() == TEN_MINUTES_S


@pytest.mark.parametrize(("outages", "survives"), [(10, True), (11, False)])
def test_the_default_budget_is_good_for_ten_such_outages(outages: int, survives: bool) -> None:
    status = Outage(running(counted=outages - 1), waits=True).run()
    assert status.phase is (Phase.RUNNING if survives else Phase.FAILED)


def test_an_attempt_that_ends_at_each_look_is_back_too() -> None:
    """Where it gets past the claim, or cannot wait: the pauses alone reach over ten minutes."""
    outage = Outage(running(), waits=False)
    status = outage.run()
    assert status.phase is Phase.RUNNING
    assert status.restarts_counted == 7
    assert all("(ESTALE)" in message for message in outage.said[:-2])
    assert outage.said[0] == (
        "7 of 2000 steps are done. Pod q-coordinator-0-1 ended with exit code 14 (Storage). " + GONE
    )


def test_a_storage_that_never_comes_back_fails_the_job_with_its_words() -> None:
    outage = Outage(running(), waits=False, seconds=1e6)
    status = outage.run()
    failed = said(status, "Failed")
    assert failed.reason == "RestartsExhausted"
    assert "(ESTALE)" in failed.message
    assert (outage.now - NOW).total_seconds() > 2 * TEN_MINUTES_S
