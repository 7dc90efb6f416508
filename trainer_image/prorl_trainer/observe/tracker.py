"""What stays of a run: metrics.jsonl and TensorBoard events, appended across attempts."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from prorl_api.wire import MetricsRecord
from tensorboardX import SummaryWriter

from prorl_trainer.errors import StorageError

Kind = Literal["step", "validation", "reset", "checkpoint", "start", "end"]
Values = Mapping[str, float | int | str | None]


class Tracker:
    """Writes one line and one set of events per record. Raises StorageError."""

    def __init__(self, directory: Path, *, attempt: int, step: int) -> None:
        self._attempt = attempt
        try:
            directory.mkdir(parents=True, exist_ok=True)
            path = directory / "metrics.jsonl"
            complete = not path.exists() or path.read_bytes()[-1:] in (b"", b"\n")
            self._file = path.open("a", encoding="utf-8")
            if not complete:  # a crash has cut the last line
                self._file.write("\n")
            # TensorBoard hides events of later steps, which a crash may have left behind.
            self._events = SummaryWriter(str(directory / "tensorboard"), purge_step=step + 1)
        except OSError as error:
            raise StorageError(f"{directory} cannot be written: {error.strerror}.") from error

    def record(self, kind: Kind, step: int, values: Values, now: float) -> None:
        """Appends a record; numbers also go to TensorBoard under kind/name."""
        record = MetricsRecord(
            kind=kind, step=step, attempt=self._attempt, time=now, values=dict(values)
        )
        try:
            self._file.write(json.dumps(record.model_dump(), sort_keys=True) + "\n")
            self._file.flush()
            for name, value in values.items():
                if isinstance(value, int | float):
                    self._events.add_scalar(f"{kind}/{name}", value, step, walltime=now)
            self._events.flush()
        except OSError as error:
            raise StorageError(f"Metrics cannot be written: {error.strerror}.") from error

    def close(self) -> None:
        """Flushes everything."""
        self._file.close()
        self._events.close()
