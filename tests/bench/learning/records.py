"""What metrics.jsonl says about a run: series and the figures of the table."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Any

Series = list[tuple[int, float]]
"""(RL step, value), in order."""

ENTROPY_STEPS = 20
"""Steps at the end over which the final entropy is a mean."""


@dataclass(kw_only=True, slots=True)
class Run:
    """The records of one run, those of steps that a resumed run has trained again left out."""

    steps: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    validations: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    resets: dict[int, str] = field(default_factory=dict)
    """Step to reason."""
    attempts: set[int] = field(default_factory=set)

    @property
    def seconds(self) -> float:
        """Of all steps, without starts, validations and checkpoints."""
        return sum(value for _, value in self.series("step_seconds"))

    @property
    def first_validation(self) -> Mapping[str, Any]:
        """Values of the first validation; empty before it."""
        return self.validations[min(self.validations)] if self.validations else {}

    def series(self, name: str) -> Series:
        """A metric of the steps, where it was measured."""
        return _series(self.steps, name)

    def held_out(self, name: str) -> Series:
        """A metric of the validations."""
        return _series(self.validations, name)

    def add(self, record: Mapping[str, Any]) -> None:
        """Takes the next record into account."""
        step, values = record["step"], record["values"]
        self.attempts.add(record["attempt"])
        match record["kind"]:
            case "start":
                self.cut(step)
            case "step":
                self.steps[step] = values
            case "validation":
                self.validations[step] = values
            case "reset":
                self.resets[step] = str(values.get("reason"))

    def cut(self, step: int) -> None:
        """Forgets what came after the step."""
        for found in (self.steps, self.validations, self.resets):
            for later in [number for number in found if number > step]:
                del found[later]


def _series(found: Mapping[int, Mapping[str, Any]], name: str) -> Series:
    values = ((step, found[step].get(name)) for step in sorted(found))
    return [(step, float(value)) for step, value in values if isinstance(value, int | float)]


def fold(records: Iterable[Mapping[str, Any]]) -> Run:
    """The run that left these records."""
    run = Run()
    for record in records:
        run.add(record)
    return run


def read(directory: Path) -> Run:
    """The run in a directory of `prorl run`; an empty one if it did not get to its first record.
    A line that a crash has cut is left out."""
    path = directory / "metrics.jsonl"
    if not path.is_file():
        return Run()
    return fold(record for line in path.open() if (record := _record(line)) is not None)


def _record(line: str) -> dict[str, Any] | None:
    try:
        record: dict[str, Any] = json.loads(line)
    except json.JSONDecodeError:
        return None
    return record


def area(series: Series) -> float:
    """Mean of the piecewise linear curve over its steps: the area under it per step."""
    if len(series) < 2:
        raise ValueError(f"A curve of {len(series)} points has no area, needs 2")
    parts = [(b - a) * (x + y) / 2 for (a, x), (b, y) in pairwise(series)]
    return sum(parts) / (series[-1][0] - series[0][0])


def figures(run: Run) -> dict[str, float]:
    """The figures of one run by name. Raises ValueError if it has too few records."""
    if not run.steps:
        raise ValueError("A run without a finished step has no figures")
    accuracy = run.held_out("accuracy")
    values = [value for _, value in accuracy]
    return {
        "start": values[0],
        "end": values[-1],
        "best": max(values),
        "area": area(accuracy),
        "entropy": fmean(v for _, v in run.series("entropy")[-ENTROPY_STEPS:]),
        "max KL": max(v for _, v in run.series("kl")),
        "kept": fmean(v for _, v in run.series("kept_ratio")),
        "seconds": run.seconds,
    }


def spread(rows: Sequence[Mapping[str, float]]) -> dict[str, tuple[float, float, float]]:
    """(mean, least, most) of each figure over the seeds."""
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    return {name: (fmean(v), min(v), max(v)) for name, v in columns.items()}


def smooth(series: Series, width: int) -> Series:
    """Mean over the last `width` points, fewer at the beginning."""
    values = [value for _, value in series]
    return [
        (step, fmean(values[max(0, i + 1 - width) : i + 1])) for i, (step, _) in enumerate(series)
    ]
