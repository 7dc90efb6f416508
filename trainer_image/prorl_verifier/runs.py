"""Items on their way to a worker, run by run, and its answers on their way back.

A run is a line with its size in bytes, then a JSON array of items as they were sent to the service.
It is written, and read, and its answers are, in one call of msgspec: what is done in Python for
every item costs more than cheap items do to judge."""

import json
from collections.abc import Iterator
from typing import IO, Annotated, Any

import msgspec

from prorl_verifier.errors import BadItemError
from prorl_verifier.wire import Item, encode, read_value, to_integer

Problem = tuple[str, msgspec.Raw, msgspec.Raw]
"""Verifier, answer and meta. Those that only compare equal, as 1 and 1.0 do, are not the same."""


class Task(msgspec.Struct, frozen=True, gc=False):
    """An item as a worker reads it; `completion` may be no text."""

    verifier: str
    completion: Any
    answer: msgspec.Raw
    meta: msgspec.Raw

    @property
    def problem(self) -> Problem:
        """What it shares with the others of its group."""
        return self.verifier, self.answer, self.meta


class Answer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a worker says of one completion; without a score, its scorer has failed by `error`."""

    seconds: Annotated[float, msgspec.Meta(ge=0)]
    score: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    reason: str = ""
    error: str = ""
    exhausted: bool = False
    """Memory was short: perhaps by what earlier items have left behind."""


_TASKS = msgspec.json.Decoder(list[Task])
_ANSWERS = msgspec.json.Decoder(Answer)


def pack(items: list[Item]) -> bytes:
    """What asks a worker for these verdicts."""
    text = encode(items)
    return b"%d\n%b" % (len(text), text)


def read(stream: IO[bytes]) -> Iterator[list[Task]]:
    """The runs, until the stream ends."""
    for line in stream:
        yield tasks(stream.read(int(line)))


def tasks(text: bytes) -> list[Task]:
    """Of the JSON array of a run."""
    try:
        return _TASKS.decode(text)
    except ValueError:  # half a character somewhere, or a number that is too large
        return [_spelled(item) for item in json.loads(text, parse_int=to_integer)]


def _spelled(item: dict[str, Any]) -> Task:
    answer, meta = (msgspec.Raw(json.dumps(item[name]).encode()) for name in ("answer", "meta"))
    return Task(item["verifier"], item["completion"], answer, meta)


def completion_of(task: Task) -> str:
    """Raises BadItemError if it is no text."""
    if not isinstance(task.completion, str):
        raise BadItemError("completion: must be a text")
    return task.completion


def problem_of(task: Task) -> tuple[Any, dict[str, Any]]:
    """Answer and meta. Raises BadItemError for what no scorer is to see."""
    answer, meta = read_value("answer", bytes(task.answer)), read_value("meta", bytes(task.meta))
    if answer is None:
        raise BadItemError("answer: missing")
    if not isinstance(meta, dict):
        raise BadItemError("meta: must be an object")
    return answer, meta


def as_given(item: Item) -> bytes:
    """{completion, answer, meta} of an item as JSON. Raises BadItemError as above."""
    (task,) = tasks(encode([item]))
    answer, meta = problem_of(task)
    return encode({"completion": completion_of(task), "answer": answer, "meta": meta})


def answer_line(answer: dict[str, Any]) -> bytes:
    """The fields of an Answer, as they travel; half a character is spelled out."""
    try:
        return msgspec.json.encode(answer) + b"\n"
    except UnicodeEncodeError:
        words = {"reason", "error"} & answer.keys()
        spelled = {word: answer[word].encode(errors="backslashreplace").decode() for word in words}
        return msgspec.json.encode(answer | spelled) + b"\n"


def read_answers(lines: bytes) -> Iterator[list[Answer]]:
    """All answers, in as many lists as they are read in. Raises ValueError when it comes to a line
    that is none, after those before it."""
    try:
        yield _read_answers(lines)
    except ValueError:
        for line in lines.splitlines(keepends=True):
            yield _read_answers(line)


def _read_answers(lines: bytes) -> list[Answer]:
    answers = _ANSWERS.decode_lines(lines)
    if len(answers) != lines.count(b"\n"):
        raise ValueError("a line is not one answer")
    return answers
