"""Is a resumed run the run that was never disturbed? Bit by bit, and without doing anything twice.

    python tests/bench/exact_resume kills [--once 50 --five 36 --twenty 14 --aimed 3]
    python tests/bench/exact_resume suspend
    python tests/bench/exact_resume budgets
    python tests/bench/exact_resume processes [--runs 6]
    python tests/bench/exact_resume sample          a little of each; CI runs it

In all but `processes` (processes.py) each attempt is a process that is forked from this one and
does what a coordinator does; attempt.py says what is left out. At the end sha256 of policy,
optimizer, reference and state, and of what each step was trained on, must be those of a run that
nobody has disturbed, and no group may have been generated that was in the journal already. JSON on
stdout; exit code 1 if there is a problem.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.update(OMP_NUM_THREADS="1", TOKENIZERS_PARALLELISM="false")
sys.path += [str(Path(__file__).parents[n]) for n in (1, 2)]

from budgets import CASES, Case, within
from kills import AIMED, Kills
from marks import Stage
from measuring import machine
from processes import processes
from run import Undisturbed
from suspend import STAGES, suspend

SAMPLE_AIMS = (Stage.JOURNAL, Stage.SYNC, Stage.RESET, Stage.SAVING)
SAMPLE_STAGES = ("mid-generation", "paused")
SAMPLE_CASES = (Case(budget_s=0.2, step_s=600),)


def main() -> int:
    """Exits with 1 if there is a problem."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["kills", "suspend", "budgets", "processes", "sample"])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--once", type=int, default=50, help="runs with one kill")
    parser.add_argument("--five", type=int, default=36, help="runs with five")
    parser.add_argument("--twenty", type=int, default=14, help="runs with twenty")
    parser.add_argument("--aimed", type=int, default=3, help="runs for each stage, of three kills")
    parser.add_argument("--runs", type=int, default=6, help="of processes")
    parser.add_argument("--keep", type=Path, help="directory for the runs; default: none is kept")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        directory = args.keep or Path(name)
        found = (
            whole_runs(args, directory) if args.what == "processes" else measure(args, directory)
        )
    print(json.dumps(found))
    return 1 if found["problems"] else 0


def whole_runs(args: argparse.Namespace, directory: Path) -> dict[str, Any]:
    """The figures of the runs of all processes."""
    begun = time.monotonic()
    rows = processes(directory, args.runs, args.seed)
    return {
        "machine": machine(),
        "what": args.what,
        "seed": args.seed,
        "processes": rows,
        "problems": [problem for row in rows for problem in row["problems"]],
        "seconds": round(time.monotonic() - begun, 1),
    }


def measure(args: argparse.Namespace, directory: Path) -> dict[str, Any]:
    """The figures of one mode, and all problems."""
    os.environ["PRORL_MODEL_CACHE"] = str(directory / "models")
    begun = time.monotonic()
    undisturbed = Undisturbed.make(directory / "undisturbed")
    found: dict[str, Any] = {"machine": machine(), "what": args.what, "seed": args.seed}
    if args.what in ("kills", "sample"):
        found["kills"] = _kills(args, Kills(directory, undisturbed, args.seed))
    if args.what in ("suspend", "sample"):
        stages = list(STAGES if args.what == "suspend" else SAMPLE_STAGES)
        found["suspend"] = suspend(directory, undisturbed, stages)
    if args.what in ("budgets", "sample"):
        cases = CASES if args.what == "budgets" else SAMPLE_CASES
        found["budgets"] = [within(directory, undisturbed, case) for case in cases]
    rows = [found.get("kills", {}), *found.get("suspend", []), *found.get("budgets", [])]
    problems = [problem for row in rows for problem in row.get("problems", [])]
    return found | {
        "undisturbed": undisturbed.run.outcome(),
        "problems": [*undisturbed.run.problems, *problems],
        "seconds": round(time.monotonic() - begun, 1),
    }


def _kills(args: argparse.Namespace, kills: Kills) -> dict[str, Any]:
    if args.what == "sample":
        kills.at_random(runs=1, kills=1)
        kills.at_random(runs=1, kills=5)
        kills.at(SAMPLE_AIMS, spread=0)
        return kills.figures()
    for runs, number in ((args.once, 1), (args.five, 5), (args.twenty, 20)):
        kills.at_random(runs, number)
    for stage in AIMED * args.aimed:
        kills.at([stage] * 3)
    return kills.figures()


if __name__ == "__main__":
    sys.exit(main())
