"""What stays of a run: metrics.jsonl and TensorBoard events, appended across attempts."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from prorl_api.wire import MetricsRecord
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.summary import scalar, text

from prorl_trainer.checkpoint.files import storage_errors
from prorl_trainer.errors import one_line

log = logging.getLogger(__name__)

Kind = Literal["step", "validation", "reset", "guard", "checkpoint", "start", "end"]
Values = Mapping[str, float | int | str | None]


class Tracker:
    """Writes one line and one set of events per record. Raises StorageError."""

    def __init__(self, directory: Path, *, attempt: int, step: int) -> None:
        self._attempt = attempt
        path = self._path = directory / "metrics.jsonl"
        with storage_errors(directory):
            directory.mkdir(parents=True, exist_ok=True)
            complete = not path.exists() or path.read_bytes()[-1:] in (b"", b"\n")
            self._file = path.open("a", encoding="utf-8")
            if not complete:  # a crash has cut the last line
                self._file.write("\n")
            self._events = _open_events(directory / "tensorboard", attempt, step + 1)

    def record(self, kind: Kind, step: int, values: Values, now: float) -> None:
        """Appends a record; numbers and texts also go to TensorBoard under kind/name."""
        record = MetricsRecord(
            kind=kind, step=step, attempt=self._attempt, time=now, values=dict(values)
        )
        with storage_errors(self._path):
            self._file.write(json.dumps(record.model_dump(), sort_keys=True) + "\n")
            self._file.flush()
            for name, value in values.items():
                if value is not None:
                    summarise = text if isinstance(value, str) else scalar
                    summary = summarise(f"{kind}/{name}", value)
                    self._events.write_event(Event(step=step, wall_time=now, summary=summary))
            self._events.flush()

    def close(self) -> None:
        """Closes both files; what a full disk has refused is lost, and was reported then."""
        for file in (self._file, self._events):
            try:
                file.close()
            except OSError as error:
                log.warning("metrics of %s are cut short: %s", self._path, one_line(error))


def _open_events(directory: Path, attempt: int, first_step: int) -> EventsWriter:
    """Events from first_step on; TensorBoard hides later ones that a crash has left behind.

    Not a SummaryWriter: its thread dies of a full disk, and then its queue blocks for ever.
    """
    directory.mkdir(exist_ok=True)
    # Its own name is as fine as a second.
    events = EventsWriter(str(directory / "events"), f".attempt-{attempt}")
    events.write_event(Event(step=first_step, session_log=SessionLog(status=SessionLog.START)))
    events.flush()
    return events
