"""Rows of one dataset. Every bad row is an error that names file, row and column."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prorl_api.spec_model import DataSet, Layout

from prorl_trainer.data.answers import to_answer, to_meta
from prorl_trainer.data.files import read_records
from prorl_trainer.data.prompt import PromptLike, to_prompt
from prorl_trainer.errors import DataError, close_matches

MAX_EXCERPT = 60

LAYOUTS: dict[Layout, tuple[str, str]] = {
    Layout.PRORL: ("prompt", "answer"),
    Layout.VERL: ("prompt", "reward_model.ground_truth"),
    Layout.TRL: ("prompt", "solution"),
}
"""Paths of prompt and answer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One task instance."""

    prompt: PromptLike
    answer: Any
    meta: dict[str, Any] = field(default_factory=dict)


class Rows(Sequence[Row]):
    """A sized, lazily read sequence of rows; `place` names one for a user."""

    def __init__(
        self, size: int, get: Callable[[int], Row], place: Callable[[int], str] | None = None
    ) -> None:
        self._size = size
        self._get = get
        self.place = place or (lambda index: f"row {index + 1}")

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, index: int) -> Row:  # type: ignore[override]
        if not 0 <= index < self._size:
            raise IndexError(index)
        return self._get(index)


def read_files(dataset: DataSet, verifier: str, paths: Sequence[Path]) -> Rows:
    """Rows of .jsonl and .parquet files, in order. Raises DataError.

    What an answer may be depends on who judges it."""
    columns = columns_of(dataset)
    tops = [*(column.split(".")[0] for column in columns), *dataset.columns.meta]
    rows: list[Row] = []
    places: list[tuple[Path, int]] = []
    for path in paths:
        for number, record in read_records(dataset.name, path, list(dict.fromkeys(tops))):
            where = f"Dataset {dataset.name}: {path} row {number}"
            rows.append(_row(where, record, columns, dataset, verifier))
            places.append((path, number))

    def place(index: int) -> str:
        path, number = places[index]
        return f"{path.name} row {number}"

    return Rows(len(rows), rows.__getitem__, place)


def columns_of(dataset: DataSet) -> tuple[str, str]:
    """Paths of prompt and answer: the layout's, unless the set names others."""
    prompt, answer = LAYOUTS[dataset.layout]
    return dataset.columns.prompt or prompt, dataset.columns.answer or answer


def _row(where: str, record: Any, columns: tuple[str, str], dataset: DataSet, verifier: str) -> Row:
    prompt, answer = (_at(where, record, column) for column in columns)
    try:
        column, value = columns[0], prompt
        shaped = to_prompt(dataset, value)
        column, value = columns[1], answer
        answer = to_answer(verifier, value)
        meta = {}
        for column in dataset.columns.meta:
            value = _at(where, record, column)
            meta[column] = to_meta(value)
    except ValueError as error:
        raise DataError(f"{where}, column `{column}`: {_excerpt(value)} {error}.") from error
    return Row(prompt=shaped, answer=answer, meta=meta)


def _at(where: str, record: Any, column: str) -> Any:
    """The value at a dotted path; null is none."""
    if not isinstance(record, dict):
        raise DataError(f"{where} is {_excerpt(record)}, must be an object.")
    value: Any = record
    seen: list[str] = []
    for part in column.split("."):
        if not isinstance(value, dict):
            raise DataError(
                f"{where}, column `{'.'.join(seen)}`: {_excerpt(value)} must be an object with "
                f"`{part}`."
            )
        seen.append(part)
        if part not in value:
            near = close_matches(part, sorted(map(str, value)))
            raise DataError(f"{where} has no column `{'.'.join(seen)}`{near}")
        value = value[part]
    return value


def _excerpt(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= MAX_EXCERPT else text[:MAX_EXCERPT] + "..."
