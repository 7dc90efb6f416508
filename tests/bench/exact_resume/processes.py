"""Whole runs of `prorl run`: coordinator, learner, engine and verifier are killed, each once, in
random order and at random instants. Slow: a start of a coordinator takes ten seconds of CPU."""

import random
import time
from pathlib import Path
from typing import Any

import psutil
from local_run import STEPS, LocalRun, learned, weights
from prorl_api.exit_codes import ExitCode

VICTIMS = ("coordinator", "LearnerActor", "EngineActor", "verifier")
LATEST_S = 0.5
"""After the end of a step; about as long as a step takes."""


def processes(directory: Path, runs: int, seed: int) -> list[dict[str, Any]]:
    """One row for each disturbed run."""
    rng = random.Random(seed)
    whole = _new(directory, "whole").start()
    _finish(whole)
    return [_disturbed(_new(directory, f"run-{number}"), whole, rng) for number in range(runs)]


def _new(directory: Path, name: str) -> LocalRun:
    cache = directory / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    return LocalRun(directory=directory / name, cache=cache)


def _finish(run: LocalRun) -> None:
    code, output = run.ended()
    if code:
        raise RuntimeError(f"The run in {run.directory} ended with {code}: {output}")


def _disturbed(run: LocalRun, whole: LocalRun, rng: random.Random) -> dict[str, Any]:
    victims = rng.sample(VICTIMS, len(VICTIMS))
    steps = sorted(rng.sample(range(1, STEPS - 2), len(VICTIMS)))
    run.start()
    for victim, step in zip(victims, steps, strict=True):
        run.until_step(step)
        time.sleep(rng.uniform(0, LATEST_S))
        _kill(run, victim)
    _finish(run)
    of_runs = {"weights": weights, "steps": learned}
    differing = [name for name, of in of_runs.items() if of(run) != of(whole)]
    return {
        "killed": dict(zip(victims, steps, strict=True)),
        "problems": [f"{run.directory.name}: {name} differ" for name in differing],
    }


def _kill(run: LocalRun, victim: str) -> None:
    """Waits for the victim where it has just been started again. Who has lost its coordinator is
    started anew."""
    run.until(lambda: _killed(run, victim))
    if victim == "coordinator":
        code, output = run.ended()
        if code != ExitCode.INTERNAL:
            raise RuntimeError(f"A killed coordinator was told of as {code}: {output}")
        run.start()


def _killed(run: LocalRun, victim: str) -> bool:
    """False while the victim is not there."""
    try:
        _find(run, victim).kill()
    except (StopIteration, OSError, psutil.Error):
        return False
    return True


def _find(run: LocalRun, victim: str) -> psutil.Process:
    if victim == "coordinator":
        return run.coordinator()
    if victim == "verifier":
        return next(p for p in run.coordinator().children() if "prorl_verifier" in p.cmdline())
    return run.actor(victim)
