"""Completions on their way to a worker, group by group, and its answers on their way back.

What is the same for all of a group is sent once: a line of JSON [verifier, sizes], then the answer,
the meta and each completion, JSON texts in the sizes of the line."""

import time
from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from typing import IO, Annotated, Any

import msgspec

from prorl_verifier.wire import Item, decode, encode

Problem = tuple[str, bytes, bytes]
"""Verifier, answer and meta."""


class Answer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a worker says of one completion; without a score, its scorer has failed by `error`."""

    seconds: Annotated[float, msgspec.Meta(ge=0)]
    score: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    reason: str = ""
    error: str = ""
    exhausted: bool = False
    """Memory was short: perhaps by what earlier items have left behind."""


def packed(item: Item) -> tuple[Problem, bytes]:
    """Problem and completion, as they travel."""
    return (item.verifier, _text(item.answer), _text(item.meta)), _text(item.completion)


def _text(value: Any) -> bytes:
    """As it was sent, if it is known."""
    return bytes(value) if isinstance(value, msgspec.Raw) else encode(value)


def pack(items: Iterable[tuple[Problem, bytes]]) -> bytes:
    """What asks a worker for these verdicts. Neighbours with the same problem are a group."""
    parts: list[bytes] = []
    for (verifier, *shared), members in groupby(items, key=itemgetter(0)):
        texts = [*shared, *[text for _, text in members]]
        parts += (encode((verifier, [len(text) for text in texts])), b"\n", *texts)
    return b"".join(parts)


def read(stream: IO[bytes]) -> Iterator[tuple[dict[str, Any], Iterator[tuple[float, str]]]]:
    """{verifier, answer, meta} of each group, and its completions, to be taken before the next
    group; each with the time at which it was there, of time.monotonic. Ends with the stream."""
    for line in stream:
        verifier, (answer, meta, *sizes) = decode(line)
        group = {"answer": decode(stream.read(answer)), "meta": decode(stream.read(meta))}
        yield group | {"verifier": verifier}, _completions(stream, sizes)


def _completions(stream: IO[bytes], sizes: list[int]) -> Iterator[tuple[float, str]]:
    for size in sizes:
        text = stream.read(size)
        yield time.monotonic(), decode(text)


def answer_line(answer: dict[str, Any]) -> bytes:
    """The fields of an Answer, as they travel; half a character is spelled out."""
    try:
        return msgspec.json.encode(answer) + b"\n"
    except UnicodeEncodeError:
        words = {"reason", "error"} & answer.keys()
        spelled = {word: answer[word].encode(errors="backslashreplace").decode() for word in words}
        return msgspec.json.encode(answer | spelled) + b"\n"


read_answer = msgspec.json.Decoder(Answer).decode
"""Raises ValueError for what is none."""
