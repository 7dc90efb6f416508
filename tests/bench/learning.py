"""Does it learn? Runs an example for some seeds through `prorl run` and prints what was gained.

    python tests/bench/learning.py [--seeds 0 1 2] [--file FILE] [--out DIRECTORY]

One JSON line per seed, then a table. Exit code 1 if a run failed, gained less than --min-gain, or
had no reference reset with a KL of 0 after it.
"""

import argparse
import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


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


def run(file: Path, seed: int, out: Path) -> Outcome:
    """One run from a fresh directory."""
    directory = out / f"seed{seed}"
    command = ["prorl", "run", str(file), "--seed", str(seed), "--out", str(directory), "--fresh"]
    start = time.monotonic()
    code = subprocess.run([sys.executable, "-m", "prorl_cli.main", *command[1:]]).returncode
    return outcome(seed, code, time.monotonic() - start, read(directory / "metrics.jsonl"))


def read(path: Path) -> list[dict[str, Any]]:
    """The records of a run; none if it did not get that far."""
    return [json.loads(line) for line in path.open()] if path.is_file() else []


def outcome(seed: int, exit_code: int, seconds: float, records: list[dict[str, Any]]) -> Outcome:
    """What the records say."""
    steps = {r["step"]: r["values"] for r in records if r["kind"] == "step"}
    accuracy = [r["values"]["accuracy"] for r in records if r["kind"] == "validation"] or [0.0]
    versions = {step: values["reference_version"] for step, values in steps.items()}
    first = [s for s in versions if s - 1 in versions and versions[s] > versions[s - 1]]
    return Outcome(
        seed=seed,
        exit_code=exit_code,
        steps=len(steps),
        seconds=round(seconds, 1),
        step_seconds=round(sum(v["step_seconds"] for v in steps.values()) / max(1, len(steps)), 2),
        start=round(accuracy[0], 4),
        end=round(accuracy[-1], 4),
        best=round(max(accuracy), 4),
        resets=len(first),
        kl_after_reset=max((steps[s]["kl"] for s in first), default=-1.0),
    )


def main() -> int:
    """Runs and judges."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--file", type=Path, default=Path("examples/quickstart.yaml"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path("runs/bench"))
    parser.add_argument("--min-gain", type=float, default=25.0, help="accuracy points")
    args = parser.parse_args()
    outcomes = [run(args.file, seed, args.out) for seed in args.seeds]
    for o in outcomes:
        print(json.dumps(asdict(o) | {"gain": round(o.gain, 1)}))
    print(f"{'seed':>4} {'steps':>5} {'seconds':>7} {'s/step':>6} {'start':>6} {'end':>6} "
          f"{'gain':>6} {'resets':>6} {'KL after':>8}")  # fmt: skip
    for o in outcomes:
        print(f"{o.seed:>4} {o.steps:>5} {o.seconds:>7.1f} {o.step_seconds:>6.2f} {o.start:>6.3f} "
              f"{o.end:>6.3f} {o.gain:>+6.1f} {o.resets:>6} {o.kl_after_reset:>8.1e}")  # fmt: skip
    fine = [
        o.exit_code == 0 and o.gain >= args.min_gain and 0 <= o.kl_after_reset < 1e-6
        for o in outcomes
    ]
    return 0 if all(fine) else 1


if __name__ == "__main__":
    sys.exit(main())
