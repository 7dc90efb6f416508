"""What a run has shown so far: metrics.jsonl and the coordinator's status, folded into one view."""

import json
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

from prorl_api.wire import MetricsRecord, StatusDocument
from pydantic import ValidationError

HTTP_TIMEOUT_S = 2.0

Values = dict[str, float | int | str | None]


@dataclass(kw_only=True, slots=True)
class Progress:
    """Grows as records come in. What came after the step that a run has gone back to is lost."""

    steps: dict[int, Values] = field(default_factory=dict)
    accuracy: dict[int, float] = field(default_factory=dict)
    resets: dict[int, Values] = field(default_factory=dict)
    guard: list[Values] = field(default_factory=list)
    """What spec.guard has done, in order."""
    checkpoint_step: int | None = None
    first_time: float | None = None
    last_time: float | None = None
    status: StatusDocument | None = None

    def add(self, record: MetricsRecord) -> None:
        """Takes one line of metrics.jsonl into account."""
        self.first_time = self.first_time or record.time
        self.last_time = record.time
        if record.kind in ("start", "step"):
            self._go_back_to(record.step)
        if record.kind == "step":
            self.steps[record.step] = record.values
        elif record.kind == "validation":
            value = record.values.get("accuracy")
            if isinstance(value, int | float):
                self.accuracy[record.step] = float(value)
        elif record.kind == "reset":
            self.resets[record.step] = record.values
        elif record.kind == "guard":
            self.guard.append(record.values)
        elif record.kind == "checkpoint":
            self.checkpoint_step = record.step

    def _go_back_to(self, step: int) -> None:
        """A crash, or a lost learner: the steps after the checkpoint are trained again."""
        for values in (self.steps, self.accuracy, self.resets):
            for later in [number for number in values if number > step]:
                del values[later]

    @property
    def last_step(self) -> int:
        """Finished steps; 0 before the first."""
        return max(self.steps, default=0)

    def series(self, name: str) -> list[tuple[int, float]]:
        """(step, value) of one metric, in order, where it is a number."""
        found = ((step, self.steps[step].get(name)) for step in sorted(self.steps))
        return [(step, float(v)) for step, v in found if isinstance(v, int | float)]

    def last(self, name: str) -> float | None:
        """The newest value of a metric."""
        series = self.series(name)
        return series[-1][1] if series else None


class MetricsTail:
    """Reads metrics.jsonl as it grows; a line is taken when it is complete."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def read(self) -> list[MetricsRecord]:
        """Records since the last call. A line cut by a crash is left out."""
        if not self._path.exists():
            return []
        with self._path.open("rb") as file:
            file.seek(self._offset)
            complete, newline, _ = file.read().rpartition(b"\n")
        self._offset += len(complete) + len(newline)
        return [record for line in complete.splitlines() if (record := _parse(line)) is not None]


def _parse(line: bytes) -> MetricsRecord | None:
    try:
        return MetricsRecord.model_validate_json(line)
    except ValidationError:
        return None  # the tail of a line that a crash has cut


def fetch_status(directory: Path) -> StatusDocument | None:
    """GET /v1/status of the run's coordinator; None while it does not answer."""
    try:
        url = json.loads((directory / "endpoint.json").read_text())["url"]
        token = (directory / "token").read_text()
        request = urllib.request.Request(
            f"{url}/v1/status", headers={"Authorization": f"Bearer {token}"}
        )
        with urllib.request.urlopen(request, timeout=HTTP_TIMEOUT_S) as answer:
            return StatusDocument.model_validate_json(answer.read())
    except (OSError, ValueError, KeyError, urllib.error.URLError):
        return None
