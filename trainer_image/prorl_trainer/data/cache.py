"""Downloaded files of the run: complete or absent, fetched once, kept for every later start."""

import hashlib
import logging
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from prorl_api.spec_model import DataSet
from pydantic import TypeAdapter, ValidationError

from prorl_trainer.errors import DataError, StorageError

log = logging.getLogger(__name__)

MIB = 2**20
MAX_BYTES = 8 * 2**30
"""Of one set. Rows are held in memory; more would not fit into a coordinator."""
REPORT_BYTES = 32 * MIB
TIMEOUT_S = 30.0
"""For a connection, and for every read from it."""
PAUSES_S = (1.0, 4.0, 15.0)
"""Between the tries of one download."""

Progress = Callable[[str], None]


class SourceAwayError(Exception):
    """A source did not answer, or not to the end: worth another try."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stream:
    """An open download; `size` is what the source promises, None if it does not say."""

    size: int | None
    chunks: Iterable[bytes]


Leaks = dict[str, tuple[str, int]]
"""Key of a held-out prompt that training has too -> training set and index of its row there."""
_LEAKS = TypeAdapter(Leaks)

Fill = Callable[[Path], None]
"""Writes the files of a set into a directory. Raises DataError or SourceAwayError."""


class DataCache:
    """One directory per set and version of it."""

    def __init__(
        self, directory: Path, progress: Progress, pauses_s: Sequence[float] = PAUSES_S
    ) -> None:
        self._directory = directory
        self._pauses_s = pauses_s
        self.progress = progress

    def directory_of(self, dataset: DataSet, fill: Fill) -> Path:
        """Where the set's files are, after `fill` has run once. Raises DataError, StorageError."""
        target = self._target(dataset)
        if target.is_dir():
            return target
        temporary = target.with_name(f"{target.name}.tmp-{uuid.uuid4().hex[:8]}")
        try:
            temporary.mkdir(parents=True)
            self._try(dataset, lambda: fill(temporary))
            temporary.rename(target)
        except OSError as error:
            if target.is_dir():
                return target  # another start was faster
            raise StorageError(f"Dataset {dataset.name} cannot be kept: {error}") from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return target

    def recall(self, key: str, make: Callable[[], Leaks]) -> Leaks:
        """What `make` returned at an earlier start with this key: looking through a million
        generated rows takes a quarter of an hour. Raises what `make` raises, and StorageError."""
        path = self._directory / f"leaks-{hashlib.sha256(key.encode()).hexdigest()[:16]}.json"
        try:
            return _LEAKS.validate_json(path.read_bytes())
        except (OSError, ValidationError):  # absent, or cut short by a crash
            made = make()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.with_suffix(f".tmp-{uuid.uuid4().hex[:8]}")
            temporary.write_bytes(_LEAKS.dump_json(made))
            temporary.rename(path)
        except OSError as error:
            raise StorageError(f"{path} cannot be written: {error.strerror}.") from error
        return made

    def forget(self, dataset: DataSet) -> None:
        """Files that cannot be read are fetched anew at the next start."""
        shutil.rmtree(self._target(dataset), ignore_errors=True)

    def _target(self, dataset: DataSet) -> Path:
        key = hashlib.sha256(f"{dataset.uri} {dataset.revision} {dataset.sha256}".encode())
        return self._directory / f"{dataset.name}-{key.hexdigest()[:16]}"

    def _try(self, dataset: DataSet, fill: Callable[[], None]) -> None:
        for tries, pause_s in enumerate([*self._pauses_s, None], 1):
            try:
                return fill()
            except SourceAwayError as error:
                if pause_s is None:
                    raise StorageError(
                        f"Dataset {dataset.name}: {dataset.uri} could not be read in {tries} "
                        f"tries: {error}"
                    ) from error
                log.warning("set=%s try=%d failed: %s", dataset.name, tries, error)
                self.progress(f"Downloading {dataset.name}: {error}; again in {pause_s:.0f} s")
                time.sleep(pause_s)
        return None

    def save(self, dataset: DataSet, stream: Stream, path: Path) -> None:
        """Writes a download to `path`, fsynced. Raises DataError for a size over MAX_BYTES or a web
        page in place of data, SourceAwayError for one that breaks off."""
        check_size(dataset, stream.size or 0)
        done = 0
        with path.open("wb") as file:
            for chunk in stream.chunks:
                if not done:
                    _refuse_page(dataset, chunk)
                file.write(chunk)
                before, done = done, done + len(chunk)
                check_size(dataset, done)
                if before // REPORT_BYTES < done // REPORT_BYTES:
                    self.progress(_so_far(dataset, done, stream.size))
            file.flush()
            os.fsync(file.fileno())
        if stream.size is not None and done != stream.size:
            raise SourceAwayError(f"it broke off after {done} of {stream.size} bytes")


def check_size(dataset: DataSet, size_bytes: int) -> None:
    """Raises DataError over the limit."""
    if size_bytes > MAX_BYTES:
        raise DataError(
            f"Dataset {dataset.name}: {dataset.uri} has more than {MAX_BYTES // MIB} MiB, the "
            "limit of a data set."
        )


def _so_far(dataset: DataSet, done: int, size: int | None) -> str:
    of = f" of {size // MIB}" if size is not None else ""
    return f"Downloading {dataset.name}: {done // MIB}{of} MiB"


def _refuse_page(dataset: DataSet, head: bytes) -> None:
    """What a proxy or a login page sends with status 200."""
    if head.lstrip()[:1] == b"<":
        raise DataError(
            f"Dataset {dataset.name}: {dataset.uri} sends a web page in place of data; it begins "
            f"with {head.strip()[:40]!r}."
        )
