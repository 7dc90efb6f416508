"""Records of .jsonl and .parquet files. Every bad one is an error that names file and row."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from prorl_trainer.checkpoint.files import AWAY, storage_error
from prorl_trainer.errors import DataError, StorageError, close_matches, one_line

Numbered = tuple[int, Any]
"""Number of the row (of the line, in .jsonl), from 1, and the record."""


def read_records(name: str, path: Path, columns: Sequence[str]) -> list[Numbered]:
    """All records with at least `columns`, as far as the file can tell. Raises DataError,
    StorageError."""
    reader = _READERS.get(path.suffix)
    if reader is None:
        raise DataError(f"Dataset {name}: {path} must end in .jsonl or .parquet.")
    if not path.is_file():
        raise DataError(f"Dataset {name}: the file {path} does not exist.")
    records = list(reader(name, path, columns))
    if not records:
        raise DataError(f"Dataset {name}: {path} has no rows.")
    return records


def unreadable(name: str, path: Path, error: OSError) -> DataError | StorageError:
    """A file that is missing or refused is the job's fault and final. A server that does not answer
    is not: the job begins again."""
    sentence = f"Dataset {name}: {path} cannot be read: {{}}."
    if error.errno in AWAY:
        return storage_error(error, path, sentence)
    return DataError(sentence.format(error.strerror))


def parse_json(text: str) -> Any:
    """Strict JSON: no NaN, no key twice. Raises ValueError, RecursionError."""
    return json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_refuse_twice)


def is_unicode(text: str) -> bool:
    """JSON may hold half of a surrogate pair, which can be neither encoded nor sent."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _read_jsonl(name: str, path: Path, columns: Sequence[str]) -> Iterator[Numbered]:
    number = 0
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield number, parse_json(line)
    except UnicodeDecodeError as error:
        raise DataError(f"Dataset {name}: {path} is not UTF-8 at byte {error.start}.") from error
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"Dataset {name}: {path} row {number} is not JSON: {one_line(error)}."
        ) from error
    except OSError as error:
        raise unreadable(name, path, error) from error


def _refuse_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(k for k in keys if keys.count(k) > 1)!r} comes twice")
    return record


def _refuse_constant(text: str) -> float:
    raise ValueError(f"{text} is not a finite number")


def _read_parquet(name: str, path: Path, columns: Sequence[str]) -> Iterator[Numbered]:
    """Only `columns` are read: the others of a public data set may be large."""
    try:
        file = pyarrow.parquet.ParquetFile(path)
        for column in columns:
            if column not in file.schema_arrow.names:
                raise DataError(
                    f"Dataset {name}: {path} has no column `{column}`"
                    f"{close_matches(column, file.schema_arrow.names)}"
                )
        records = file.read(columns=list(columns)).to_pylist()
    except (OSError, pyarrow.ArrowException) as error:
        if getattr(error, "errno", None) in AWAY:
            raise unreadable(name, path, error) from error
        raise DataError(
            f"Dataset {name}: {path} is no readable parquet file: {one_line(error)}."
        ) from error
    yield from enumerate(records, 1)


_READERS: dict[str, Callable[[str, Path, Sequence[str]], Iterator[Numbered]]] = {
    ".jsonl": _read_jsonl,
    ".parquet": _read_parquet,
}
SUFFIXES = tuple(_READERS)
