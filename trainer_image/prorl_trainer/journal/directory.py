"""The journal's files: JOURNAL/{attempt-00000003.json, step-00000012.00000003}.

Each attempt writes files of its own, one per step. Its first act is to write down what it goes on
from: the files before it, and how many bytes of each. What a replaced attempt appends after that is
read by nobody. A line without its end is what a crash has cut off: it is not read, and nothing is
appended to it.
"""

import errno
import json
import logging
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from prorl_trainer.checkpoint.files import Files, storage_error, storage_errors
from prorl_trainer.errors import CheckpointError
from prorl_trainer.journal.record import Key, read_key

log = logging.getLogger(__name__)

ATTEMPT_NAME = re.compile(r"^attempt-(\d{8})\.json$")
STEP_NAME = re.compile(r"^step-(\d{8})\.(\d{8})$")


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a line is."""

    file: str
    start: int
    size_bytes: int


@dataclass(kw_only=True, slots=True)
class Found:
    """The lines that may be used, in the order in which they were written."""

    places: dict[Key, list[Place]] = field(default_factory=dict)
    damaged: int = 0
    """Whole lines that are not as they were written, and files that cannot be read."""


class JournalDirectory:
    """Used from one thread only. `writer` gives the attempt's number in the checkpoint store, which
    it has claimed before the journal is opened."""

    def __init__(self, path: Path, writer: Callable[[], int], files: Files | None = None) -> None:
        self._path = path
        self._writer = writer
        self._files = files or Files()

    @property
    def _number(self) -> int:
        return self._writer()

    def take_over(self, first_step: int) -> Found:
        """What is left for the steps from first_step on; the rest is removed. Raises StorageError,
        CheckpointError if a newer attempt has taken over."""
        found, used = Found(), {}
        with storage_errors(self._path):
            self._files.make_directory(self._path)
            newest = max(self._attempts(), default=self._number)
            sources = self._sources(newest, found)
        if newest > self._number:
            raise CheckpointError(
                f"Attempt {self._number} may not write to {self._path}: attempt {newest} has "
                "taken over."
            )
        for name, size_bytes in sorted(sources.items(), key=_by_writer):
            if _step_of(name) >= first_step and (self._path / name).exists():
                used[name] = self._scan(name, size_bytes, found)
        with storage_errors(self._path):
            self._cut(used)
            self._write_down(used)
            self._remove_but(used)
        return found

    def append(self, step: int, data: bytes) -> None:
        """Whole lines, durable when it returns. Raises StorageError."""
        path = self._path / f"step-{step:08d}.{self._number:08d}"
        with storage_errors(path):
            is_new = not path.exists()
            self._files.append(path, data)
            if is_new:
                self._files.sync(self._path)

    def read(self, place: Place) -> bytes:
        """A line. Raises OSError."""
        with (self._path / place.file).open("rb") as file:
            file.seek(place.start)
            return file.read(place.size_bytes)

    def remove_before(self, step: int) -> None:
        """Of all attempts. Raises OSError."""
        for name in self._step_files():
            if _step_of(name) < step:
                (self._path / name).unlink(missing_ok=True)

    def _attempts(self) -> list[int]:
        found = (ATTEMPT_NAME.match(path.name) for path in self._path.iterdir())
        return [int(match[1]) for match in found if match]

    def _step_files(self) -> list[str]:
        return sorted(p.name for p in self._path.iterdir() if STEP_NAME.match(p.name))

    def _sources(self, newest: int, found: Found) -> dict[str, int]:
        """File -> bytes that count: those that the newest attempt went on from, and its own."""
        path = self._path / _attempt_file(newest)
        before: dict[str, int] = {}
        try:
            before = _parse(path.read_bytes()) if path.exists() else {}
        except (OSError, ValueError) as error:
            found.damaged += 1
            log.warning("journal=%s what came before it is drawn again: %s", path, error)
        own = [name for name in self._step_files() if _writer_of(name) == newest]
        return before | {name: (self._path / name).stat().st_size for name in own}

    def _scan(self, name: str, size_bytes: int, found: Found) -> int:
        """Adds what is in the file. Returns the bytes up to the end of the last whole line."""
        start = 0
        try:
            with (self._path / name).open("rb") as file:
                for line in file:
                    if start + len(line) > size_bytes or not line.endswith(b"\n"):
                        break
                    self._add(Place(file=name, start=start, size_bytes=len(line)), line, found)
                    start += len(line)
        except OSError as error:
            if error.errno != errno.EIO:  # a place on the disk that is bad stays bad
                where = self._path / name
                raise storage_error(error, where, f"{where} cannot be read: {{}}.") from error
            found.damaged += 1
            log.warning("journal=%s the rest of it is drawn again: %s", name, error)
        return start

    def _add(self, place: Place, line: bytes, found: Found) -> None:
        try:
            found.places.setdefault(read_key(line), []).append(place)
        except ValueError as error:
            found.damaged += 1
            log.warning("journal=%s a group is drawn again: %s", place.file, error)

    def _cut(self, used: Mapping[str, int]) -> None:
        """Ends our own files behind their last whole line: more is appended to them."""
        for name, size_bytes in used.items():
            if _writer_of(name) == self._number:
                os.truncate(self._path / name, size_bytes)

    def _write_down(self, used: Mapping[str, int]) -> None:
        path = self._path / _attempt_file(self._number)
        if path.exists():
            return
        temporary = path.with_suffix(".tmp")
        temporary.unlink(missing_ok=True)
        self._files.write(temporary, json.dumps(used).encode())
        self._files.rename(temporary, path)
        self._files.sync(self._path)

    def _remove_but(self, used: Mapping[str, int]) -> None:
        attempts = [_attempt_file(number) for number in self._attempts() if number < self._number]
        for name in [*attempts, *(n for n in self._step_files() if n not in used)]:
            (self._path / name).unlink(missing_ok=True)


def _attempt_file(number: int) -> str:
    return f"attempt-{number:08d}.json"


def _step_of(name: str) -> int:
    return int(name[5:13])


def _writer_of(name: str) -> int:
    return int(name[14:22])


def _by_writer(entry: tuple[str, int]) -> tuple[int, int]:
    return _writer_of(entry[0]), _step_of(entry[0])


def _parse(data: bytes) -> dict[str, int]:
    """Raises ValueError."""
    document = json.loads(data)
    if not isinstance(document, dict):
        raise ValueError("it is no list of files")
    if not all(STEP_NAME.match(n) and type(size) is int for n, size in document.items()):
        raise ValueError("it is no list of files")
    return document
