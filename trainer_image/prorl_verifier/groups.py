"""Completions on their way to a worker, group by group: what is the same for all of a group is sent
once. A line of JSON {verifier, answer, meta, sizes}, then the bytes of each completion."""

import time
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import IO, Any

from prorl_verifier.wire import Item, decode, encode

ERRORS = "surrogatepass"
"""Any text that a service takes, also half a character, comes out as it was."""


def packed(completion: str) -> bytes:
    """As it travels."""
    return completion.encode(errors=ERRORS)


def pack(items: Iterable[tuple[Item, bytes]]) -> bytes:
    """What asks a worker for these verdicts; items come with their packed completions. Neighbours
    with the very same answer and meta are a group: parse_batch makes equal ones the same."""
    parts: list[bytes] = []
    for _, members in groupby(items, key=lambda pair: _problem(pair[0])):
        group = list(members)
        first, texts = group[0][0], [text for _, text in group]
        parts.append(_header(first, [len(text) for text in texts]))
        parts += texts
    return b"".join(parts)


def _problem(item: Item) -> tuple[str, int, int]:
    return item.verifier, id(item.answer), id(item.meta)


def _header(item: Item, sizes: list[int]) -> bytes:
    fields = {"verifier": item.verifier, "answer": item.answer, "meta": item.meta, "sizes": sizes}
    return encode(fields) + b"\n"


def read(stream: IO[bytes]) -> Iterator[tuple[dict[str, Any], Iterator[tuple[float, str]]]]:
    """The header of each group, and its completions, to be taken before the next group; each with
    the time at which it was there, of time.monotonic. Ends with the stream."""
    for header in stream:
        group = decode(header)
        yield group, _completions(stream, group["sizes"])


def _completions(stream: IO[bytes], sizes: list[int]) -> Iterator[tuple[float, str]]:
    for size in sizes:
        text = stream.read(size)
        yield time.monotonic(), text.decode(errors=ERRORS)
