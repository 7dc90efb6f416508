"""What a run keeps of its data: downloads, complete or absent, and what was found in the rows."""

import hashlib
import logging
import shutil
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

from prorl_api.spec_model import DataSet
from pydantic import TypeAdapter, ValidationError

from prorl_trainer.data.download import Progress, SourceAwayError
from prorl_trainer.errors import StorageError

log = logging.getLogger(__name__)

PAUSES_S = (1.0, 4.0, 15.0)
"""Between the tries of one download."""

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
            self._fill(dataset, fill, temporary)
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

    def _fill(self, dataset: DataSet, fill: Fill, directory: Path) -> None:
        """Tries once, and once more after each pause."""
        for pause_s in self._pauses_s:
            try:
                fill(directory)
                return
            except SourceAwayError as error:
                log.warning("set=%s download failed: %s", dataset.name, error)
                self.progress(f"Downloading {dataset.name}: {error}; again in {pause_s:.0f} s")
                time.sleep(pause_s)
        try:
            fill(directory)
        except SourceAwayError as error:
            raise StorageError(
                f"Dataset {dataset.name}: {dataset.uri} could not be read in "
                f"{len(self._pauses_s) + 1} tries: {error}"
            ) from error
