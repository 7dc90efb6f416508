"""Does it learn? From the root of the repository, PYTHONPATH=tests:

    python -m bench.learning quickstart   does the quickstart gain accuracy? fails if not
    python -m bench.learning ablations    the configurations of plan.yaml, three seeds each
    python -m bench.learning long         the run of 3,000 steps
    python -m bench.learning report       tables and pictures of the last two

A run that was interrupted goes on where it was. Exit code 1 if a run has failed.
"""

import argparse
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from bench.learning import plots, report
from bench.learning.quickstart import quickstart
from bench.learning.records import read
from bench.learning.runs import LONG, RECIPE, ablations, read_plan, run
from prorl_cli.manifest import load_job
from prorl_trainer.algo.length_penalty import cosine_active

Command = Callable[[argparse.Namespace], int]
RUNS = "runs/learning"


def main() -> int:
    """Runs a subcommand."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True)

    def add(name: str, command: Command, out: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name)
        sub.add_argument("--out", type=Path, default=Path(out), help="directory of the runs")
        sub.set_defaults(command=command)
        return sub

    sub = add("quickstart", _quickstart, "runs/bench")
    sub.add_argument("--file", type=Path, default=Path("examples/quickstart.yaml"))
    sub.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    sub.add_argument("--min-gain", type=float, default=25.0, help="accuracy points")
    sub = add("ablations", _ablations, RUNS)
    sub.add_argument("--seeds", type=int, nargs="+", help="default: those of plan.yaml")
    add("long", _long, RUNS)
    sub = add("report", _report, RUNS)
    sub.add_argument("--docs", type=Path, default=Path("docs/recipe"))
    sub.add_argument("--steps", type=int, help="of the ablations; default: all")
    args = parser.parse_args()
    return int(args.command(args))


def _quickstart(args: argparse.Namespace) -> int:
    return 0 if quickstart(args.file, args.seeds, args.out, args.min_gain) else 1


def _ablations(args: argparse.Namespace) -> int:
    plan = read_plan()
    return 1 if ablations(replace(plan, seeds=args.seeds or plan.seeds), args.out) else 0


def _long(args: argparse.Namespace) -> int:
    return 1 if run(RECIPE, args.out / LONG, seed=0, changes=read_plan().long) else 0


def _report(args: argparse.Namespace) -> int:
    plan = read_plan()
    runs = report.read_ablations(plan, args.out, args.steps)
    print(report.table(runs))
    plots.draw_ablations(runs, args.docs / "ablations.png")
    found = read(args.out / LONG)
    print(report.summary(found))
    plots.draw_long(found, _cosine(plan.long), args.docs / "long.png")
    return 0


def _cosine(changes: list[str]) -> Callable[[int], bool]:
    """Whether the length term was on in a step, counted from 1. Raises ValueError."""
    job = load_job(RECIPE, changes)
    if isinstance(job, list):
        raise ValueError("; ".join(map(str, job)))
    cosine = job.spec.algorithm.length_penalty.cosine
    if cosine is None:
        return lambda step: False
    turn = partial(cosine_active, on_steps=cosine.on_steps, off_steps=cosine.off_steps,
                   offset=cosine.offset)  # fmt: skip
    return lambda step: turn(step=step - 1)


if __name__ == "__main__":
    sys.exit(main())
