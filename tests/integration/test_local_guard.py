"""`prorl run` with rules that fire: resets by KL, a rollback that ends in failure, a pause."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from local_run import MANIFEST, STEPS, LocalRun
from prorl_api.exit_codes import ExitCode

SHORT = MANIFEST.replace("WARM", "150")
PLAIN = SHORT.replace("referenceReset: {everySteps: 7}", "referenceReset: {everySteps: 0}")
EVERY_STEP = PLAIN.replace("checkpoint: {everySteps: 2, keep: 3}", "checkpoint: {everySteps: 1}")
GUARDED = EVERY_STEP + "  guard: {klAbove: 0.03, consecutive: 2, ACTION}\n"
"""At this learning rate KL is above 0.03 after a few steps."""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def values(run: LocalRun, kind: str) -> dict[int, dict[str, Any]]:
    return {r["step"]: r["values"] for r in run.records(kind)}


def test_a_kl_spike_resets_and_kl_is_0_in_the_first_step_after(cache: Path, tmp_path: Path) -> None:
    rule = (
        "referenceReset: {everySteps: 0, minGapSteps: 4, optimizer: Clear, rewarmSteps: 1, "
        "requestToken: now, "
        "klSpike: {absolute: 1.0e-7, consecutive: 1}}"
    )
    manifest = SHORT.replace("referenceReset: {everySteps: 7}", rule)
    run = LocalRun(directory=tmp_path / "run", cache=cache, manifest=manifest).start()
    code, output = run.ended()
    assert code == 0, output + run.log()
    resets = values(run, "reset")
    assert [(s, r["reason"], r["source_step"]) for s, r in resets.items()] == [
        (1, "Requested", 1), (5, "KlSpike", 5), (9, "KlSpike", 9), (13, "KlSpike", 13),
    ]  # fmt: skip
    kl = {step: v["kl"] for step, v in values(run, "step").items()}
    assert [step for step in kl if kl[step] == 0] == [1, 2, 6, 10, 14], "0 against itself"
    assert len(kl) == STEPS


def test_a_guard_rolls_back_then_fails_and_another_guard_lets_the_run_go_on(
    cache: Path, tmp_path: Path
) -> None:
    manifest = GUARDED.replace("ACTION", "maxRollbacks: 1")
    run = LocalRun(directory=tmp_path / "run", cache=cache, manifest=manifest).start()
    code, output = run.ended()
    assert code == ExitCode.GUARD, output + run.log()
    assert "1 of 1 rollbacks (spec.guard.maxRollbacks) are used up." in output
    (rollback,) = values(run, "guard").values()
    assert rollback["lastRule"] == "klAbove"
    assert 1 <= rollback["wentOnFrom"] < rollback["lastStep"]
    assert rollback["message"] in output
    assert [r["step"] for r in run.records("start")] == [0, rollback["wentOnFrom"]]
    assert list((run.directory / "checkpoints").glob("*.bad-*"))

    run.manifest = manifest.replace("klAbove: 0.03", "klAbove: 99")
    code, output = run.start().ended()
    assert code == 0, output + run.log()
    assert max(values(run, "step")) == STEPS


def test_a_pause_waits_until_somebody_says_resume(cache: Path, tmp_path: Path) -> None:
    manifest = GUARDED.replace("ACTION", "action: Pause")
    run = LocalRun(directory=tmp_path / "run", cache=cache, manifest=manifest).start()
    run.until(lambda: bool(run.records("guard")))
    paused_at = run.records("guard")[0]["step"]
    run.until(lambda: said(run, "Resume") == 0)
    run.until_step(paused_at + 1)
    assert run.process is not None
    run.process.send_signal(signal.SIGINT)
    code, output = run.ended()
    assert code == ExitCode.STOPPED
    assert "guard: Pause" in output
    assert "kl was above 0.03" in output
    assert [r["step"] for r in run.records("start")] == [0], "nothing was begun anew"


def said(run: LocalRun, word: str) -> int:
    """The exit code of the command; 1 while the run is not paused yet."""
    module = (sys.executable, "-m", "prorl_trainer.command")
    return subprocess.run(
        [*module, word, "--run-dir", str(run.directory)], check=False, capture_output=True
    ).returncode
