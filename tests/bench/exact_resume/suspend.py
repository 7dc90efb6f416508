"""SIGTERM at ten stages: everything that is finished is saved, and the run goes on as if nobody had
stopped it."""

from pathlib import Path
from signal import SIGTERM
from typing import Any

from marks import Aim, Stage
from prorl_api.exit_codes import ExitCode
from run import Undisturbed, new_run

STAGES = {
    "loading": Aim(stage=Stage.LOADING, number=SIGTERM),
    "first generation": Aim(stage=Stage.GENERATING, number=SIGTERM),
    "mid-generation": Aim(stage=Stage.DRAWN, nth=60, number=SIGTERM),
    "verifying": Aim(stage=Stage.VERIFYING, nth=90, number=SIGTERM),
    "learning": Aim(stage=Stage.LEARNING, nth=2, number=SIGTERM),
    "weight sync": Aim(stage=Stage.SYNC, nth=4, number=SIGTERM),
    "validation": Aim(stage=Stage.VALIDATING, nth=10, number=SIGTERM),
    "reset": Aim(stage=Stage.RESET, number=SIGTERM),
    "saving": Aim(stage=Stage.SAVING, nth=2, number=SIGTERM),
    "paused": Aim(stage=Stage.PAUSED, number=SIGTERM),
}


def suspend(directory: Path, undisturbed: Undisturbed, stages: list[str]) -> list[dict[str, Any]]:
    """One run for each stage: stopped there, then started again."""
    return [_suspend(directory / name.replace(" ", "-"), undisturbed, name) for name in stages]


def _suspend(directory: Path, undisturbed: Undisturbed, name: str) -> dict[str, Any]:
    run = new_run(directory)
    code = run.end(run.start(STAGES[name]))
    told = run.result
    if code != ExitCode.STOPPED:
        run.problems.append(f"the stop was answered with {code}")
    learned = max((step for step, _ in run.ledger()), default=0)
    if not learned == told["step"] == (told["checkpoint_step"] or 0):
        run.problems.append(f"{learned} steps were learned, told of: {told}")
    run.finish()
    run.compare(undisturbed.run)
    return {
        "stopped at": name, "acknowledged step": told["step"],
        "checkpoint": told["checkpoint_step"], "problems": run.problems,
    }  # fmt: skip
