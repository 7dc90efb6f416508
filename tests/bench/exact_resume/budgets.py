"""SIGTERM, and SIGKILL when the budget is over: what terminationGracePeriodSeconds does to a pod.

The step in progress takes less than the budget, or more. All groups of it but one take that long,
so that one is finished and in the journal when SIGKILL comes.
"""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL, SIGTERM
from typing import Any

from attempt import Slow
from forking import LIMIT_S, Attempt
from run import Group, Run, Undisturbed, drawn, journalled, new_run

FINISHED = 4
"""Steps before the slow one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """Seconds."""

    budget_s: float
    step_s: float
    """What the rest of the step takes at least."""


CASES = [
    Case(budget_s=15, step_s=5), Case(budget_s=15, step_s=45),
    Case(budget_s=30, step_s=15), Case(budget_s=30, step_s=90),
    Case(budget_s=120, step_s=75), Case(budget_s=120, step_s=360),
]  # fmt: skip


def within(directory: Path, undisturbed: Undisturbed, case: Case) -> dict[str, Any]:
    """A run that is told to go while it is generating; then the next attempt ends it."""
    run = new_run(directory / f"{case.budget_s:g}-{case.step_s:g}", everySteps=1)
    attempt = run.start(slow=Slow(step=FINISHED, seconds=case.step_s))
    _wait_for_what_is_durable(run, attempt)
    begun = time.monotonic()
    attempt.send(SIGTERM)
    if not attempt.wait(case.budget_s):
        attempt.send(SIGKILL)
    code = run.end(attempt)
    seconds = time.monotonic() - begun
    learned = max(step for step, _ in run.ledger())
    finished = sum(_is_slow(group) for group in journalled(run.context.journal))
    before = len(drawn(run.directory))
    run.finish()
    run.compare(undisturbed.run)
    again = sum(_is_slow(group) for group in drawn(run.directory)[before:])
    return {
        "budget_s": case.budget_s, "step_s": case.step_s, "exit code": code,
        "seconds": round(seconds, 1), "steps learned": learned,
        "steps lost": learned - _went_on_from(run), "groups in the journal": finished,
        "groups generated after it": again, "problems": run.problems,
    }  # fmt: skip


def _wait_for_what_is_durable(run: Run, attempt: Attempt) -> None:
    """Until the step before the slow one is in a checkpoint, and a group of the slow one in the
    journal: neither may be lost from now on."""
    deadline = time.monotonic() + LIMIT_S
    while not (run.has_checkpoint(FINISHED) and _has_a_slow_group(run)):
        if attempt.wait(0.02) or time.monotonic() > deadline:
            raise RuntimeError(f"The run in {run.directory} did not come to step {FINISHED + 1}.")


def _has_a_slow_group(run: Run) -> bool:
    return any(_is_slow(group) for group in journalled(run.context.journal))


def _is_slow(group: Group) -> bool:
    """Of the slow step; the evaluation before it has the same number."""
    return group[0] == FINISHED and group[1].startswith("train")


def _went_on_from(run: Run) -> int:
    lines = (run.directory / "metrics.jsonl").read_text().splitlines()
    starts = [line for line in map(json.loads, lines) if line["kind"] == "start"]
    return int(starts[-1]["step"])
