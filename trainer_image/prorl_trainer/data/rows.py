"""Rows of one dataset, from files or generators. Every bad row is an error that names it."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prorl_api.spec_model import VerifierName

from prorl_trainer.errors import DataError, one_line

MAX_EXCERPT = 60
Answers = tuple[Callable[[Any], bool], str]
"""Is it an answer, and what an answer must be."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One task instance. `prompt` is a text or a chat (list of {role, content})."""

    prompt: str | list[dict[str, str]]
    answer: Any
    meta: dict[str, Any] = field(default_factory=dict)


class Rows(Sequence[Row]):
    """A sized, lazily read sequence of rows."""

    def __init__(self, size: int, get: Callable[[int], Row]) -> None:
        self._size = size
        self._get = get

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, index: int) -> Row:  # type: ignore[override]
        if not 0 <= index < self._size:
            raise IndexError(index)
        return self._get(index)


def read_file(name: str, path: Path, verifier: str = VerifierName.MATH_VERIFY) -> Rows:
    """Rows of a jsonl or parquet file with the columns `prompt` and `answer`. Raises DataError.

    What an answer may be depends on who judges it."""
    readers = {".jsonl": _read_jsonl, ".parquet": _read_parquet}
    reader = readers.get(path.suffix)
    if reader is None:
        raise DataError(f"Dataset {name}: {path} must end in .jsonl or .parquet.")
    if not path.is_file():
        raise DataError(f"Dataset {name}: the file {path} does not exist.")
    records = reader(name, path)
    if not records:
        raise DataError(f"Dataset {name}: {path} has no rows.")
    answers = ANSWERS.get(verifier, ANSWERS[VerifierName.MATH_VERIFY])
    where = f"Dataset {name}: {path} row"
    rows = [_row(f"{where} {n}", record, answers) for n, record in enumerate(records, 1)]
    return Rows(len(rows), rows.__getitem__)


def _read_jsonl(name: str, path: Path) -> list[Any]:
    records = []
    number = 0
    try:
        with path.open(encoding="utf-8") as file:
            for line in file:
                number += 1
                if line.strip():
                    records.append(_parse(line))
    except UnicodeDecodeError as error:
        raise DataError(f"Dataset {name}: {path} is not UTF-8 at byte {error.start}.") from error
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"Dataset {name}: {path} row {number} is not JSON: {one_line(error)}."
        ) from error
    except OSError as error:
        raise DataError(f"Dataset {name}: {path} cannot be read: {error.strerror}.") from error
    return records


def _parse(line: str) -> Any:
    return json.loads(line, parse_constant=_refuse_constant, object_pairs_hook=_refuse_twice)


def _refuse_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(k for k in keys if keys.count(k) > 1)!r} comes twice")
    return record


def _refuse_constant(text: str) -> float:
    raise ValueError(f"{text} is not a finite number")


def _read_parquet(name: str, path: Path) -> list[Any]:
    import pyarrow
    import pyarrow.parquet

    try:
        records: list[Any] = pyarrow.parquet.read_table(path).to_pylist()
    except (OSError, pyarrow.ArrowException) as error:
        raise DataError(
            f"Dataset {name}: {path} is no readable parquet file: {one_line(error)}."
        ) from error
    return records


def _row(where: str, record: Any, answers: Answers) -> Row:
    if not isinstance(record, dict):
        raise DataError(f"{where} is {_excerpt(record)}, must be an object.")
    for column in ("prompt", "answer"):
        if record.get(column) is None:
            have = ", ".join(sorted(record)) or "none"
            raise DataError(f"{where} has no column `{column}` (columns: {have}).")
    prompt, answer = record["prompt"], record["answer"]
    if not _is_prompt(prompt):
        raise DataError(
            f"{where}, column `prompt`: {_excerpt(prompt)} must be a non-empty text or a list of "
            "objects with `role` and `content`, of which one is not empty."
        )
    is_answer, must = answers
    if not is_answer(answer):
        raise DataError(f"{where}, column `answer`: {_excerpt(answer)} must be {must}.")
    return Row(prompt=prompt, answer=answer)


def _is_prompt(prompt: Any) -> bool:
    if isinstance(prompt, str):
        return bool(prompt.strip())
    return (
        isinstance(prompt, list)
        and bool(prompt)
        and all(
            isinstance(m, dict)
            and isinstance(m.get("role"), str)
            and isinstance(m.get("content"), str)
            for m in prompt
        )
        and any(m["content"].strip() for m in prompt)
    )


def _is_answer(answer: Any) -> bool:
    if isinstance(answer, str):
        return bool(answer.strip())
    is_number = isinstance(answer, int | float) and not isinstance(answer, bool)
    return is_number and math.isfinite(answer)


def _is_stem_answer(answer: Any) -> bool:
    """A text, a number, several of them, or an object that accepts such."""
    if isinstance(answer, dict):
        answer = answer.get("accept")
    accepted = answer if isinstance(answer, list) else [answer]
    return bool(accepted) and all(_is_answer(one) for one in accepted)


def _is_instructions(answer: Any) -> bool:
    return (
        isinstance(answer, list)
        and bool(answer)
        and all(isinstance(one, dict) and isinstance(one.get("id"), str) for one in answer)
    )


ANSWERS: dict[str, Answers] = {
    VerifierName.MATH_VERIFY: (_is_answer, "a non-empty text or a finite number"),
    VerifierName.STEM: (
        _is_stem_answer,
        "a non-empty text, a finite number, a list of those or an object that has them in `accept`",
    ),
    VerifierName.INSTRUCTION: (_is_instructions, "a list of objects with `id` and `kwargs`"),
}


def _excerpt(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= MAX_EXCERPT else text[:MAX_EXCERPT] + "..."
