"""An open download becomes a file: whole, of bounded size, and data rather than a web page."""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from prorl_api.spec_model import DataSet

from prorl_trainer.errors import DataError

MIB = 2**20
MAX_BYTES = 8 * 2**30
"""Of one set. Rows are held in memory; more would not fit into a coordinator."""
REPORT_BYTES = 32 * MIB
TIMEOUT_S = 30.0
"""For a connection, and for every read from it."""

Progress = Callable[[str], None]


class SourceAwayError(Exception):
    """A source did not answer, or not to the end: worth another try."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stream:
    """An open download; `size` is what the source promises, None if it does not say."""

    size: int | None
    chunks: Iterable[bytes]


def save(dataset: DataSet, stream: Stream, path: Path, progress: Progress) -> None:
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
                progress(_so_far(dataset, done, stream.size))
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
