"""Does the quickstart learn? Some seeds of it, and what each has gained."""

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.learning.records import Run, read
from bench.learning.runs import run


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What one run showed."""

    seed: int
    exit_code: int
    steps: int
    seconds: float
    """Wall clock of the whole command, the model's warm-up and all starts included."""
    step_seconds: float
    start: float
    end: float
    best: float
    resets: int
    kl_after_reset: float
    """Largest KL measured in a first step after a reset; -1 if there was none."""

    @property
    def gain(self) -> float:
        """Accuracy points, in [-100, 100]."""
        return 100 * (self.end - self.start)

    def is_fine(self, min_gain: float) -> bool:
        """It has learnt, and a reset has put the KL to 0."""
        return self.exit_code == 0 and self.gain >= min_gain and 0 <= self.kl_after_reset < 1e-6


def quickstart(file: Path, seeds: list[int], out: Path, min_gain: float) -> bool:
    """Runs every seed from a fresh directory and prints; True if all are fine."""
    outcomes = [measure(file, seed, out / f"seed{seed}") for seed in seeds]
    for o in outcomes:
        print(json.dumps(asdict(o) | {"gain": round(o.gain, 1)}))
    print(f"{'seed':>4} {'steps':>5} {'seconds':>7} {'s/step':>6} {'start':>6} {'end':>6} "
          f"{'gain':>6} {'resets':>6} {'KL after':>8}")  # fmt: skip
    for o in outcomes:
        print(f"{o.seed:>4} {o.steps:>5} {o.seconds:>7.1f} {o.step_seconds:>6.2f} {o.start:>6.3f} "
              f"{o.end:>6.3f} {o.gain:>+6.1f} {o.resets:>6} {o.kl_after_reset:>8.1e}")  # fmt: skip
    return all(o.is_fine(min_gain) for o in outcomes)


def measure(file: Path, seed: int, directory: Path) -> Outcome:
    """One run from a fresh directory."""
    start = time.monotonic()
    code = run(file, directory, seed=seed, fresh=True)
    return outcome(seed, code, time.monotonic() - start, read(directory))


def outcome(seed: int, exit_code: int, seconds: float, found: Run) -> Outcome:
    """What the records say."""
    accuracy = [value for _, value in found.held_out("accuracy")] or [0.0]
    versions = dict(found.series("reference_version"))
    first = [s for s in versions if s - 1 in versions and versions[s] > versions[s - 1]]
    step_seconds = [value for _, value in found.series("step_seconds")]
    return Outcome(
        seed=seed,
        exit_code=exit_code,
        steps=len(found.steps),
        seconds=round(seconds, 1),
        step_seconds=round(sum(step_seconds) / max(1, len(step_seconds)), 2),
        start=round(accuracy[0], 4),
        end=round(accuracy[-1], 4),
        best=round(max(accuracy), 4),
        resets=len(first),
        kl_after_reset=max((float(found.steps[s]["kl"]) for s in first), default=-1.0),
    )
