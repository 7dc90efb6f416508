"""The table of the ablations and a summary of the long run, as Markdown."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.learning.records import Run, figures, read, spread
from bench.learning.runs import Plan, directory
from bench.measuring import markdown

DECIMALS = {"max KL": 2, "entropy": 2, "kept": 2, "seconds": 0}
"""Of a figure in the table; 3 for the others."""


def read_ablations(plan: Plan, out: Path, steps: int | None = None) -> dict[str, list[Run]]:
    """Runs by configuration, cut after `steps`. Raises ValueError naming one that is shorter than
    that, or than the longest: a table of unequal runs would mislead."""
    runs = {
        name: [read(directory(out, name, seed)) for seed in plan.seeds] for name in plan.ablations
    }
    wanted = steps or max(max(run.steps, default=0) for found in runs.values() for run in found)
    for name, found in runs.items():
        for seed, run in zip(plan.seeds, found, strict=True):
            if (last := max(run.steps, default=0)) < wanted or not last:
                raise ValueError(
                    f"{directory(out, name, seed)} ends at step {last}, must have {wanted}"
                )
            run.cut(wanted)
    return runs


def table(runs: Mapping[str, Sequence[Run]]) -> str:
    """One row per configuration: mean over the seeds, least and most in brackets. The last column
    compares with the first configuration, seed by seed."""
    found = {name: [figures(run) for run in seeds] for name, seeds in runs.items()}
    first = next(iter(found))
    for name, rows in found.items():
        for row, base in zip(rows, found[first], strict=True):
            row[f"area - {first}"] = 0.0 if name == first else row["area"] - base["area"]
    names = list(found[first][0])
    lines = []
    for name, rows in found.items():
        row = spread(rows)
        cells = [_cell(*row[figure], DECIMALS.get(figure, 3)) for figure in names]
        lines.append([name, *cells])
    return markdown(["configuration", *names], lines)


def _cell(mean: float, least: float, most: float, decimals: int) -> str:
    return f"{mean:.{decimals}f} ({least:.{decimals}f} to {most:.{decimals}f})"


def summary(run: Run) -> str:
    """Lines about one long run: figures, resets by reason, steps, attempts."""
    reasons = list(run.resets.values())
    resets = {reason: reasons.count(reason) for reason in sorted(set(reasons))}
    lines = [f"{len(run.steps)} steps, {len(run.attempts)} attempts, resets: {resets}"]
    lines += [f"{name}: {value:.3f}" for name, value in figures(run).items()]
    for name in sorted(run.first_validation):
        points = run.held_out(name)
        best_step, best = max(points, key=lambda point: point[1])
        lines.append(
            f"{name}: {points[0][1]:.3f} -> {points[-1][1]:.3f}, best {best:.3f} at {best_step}"
        )
    return "\n".join(lines)
