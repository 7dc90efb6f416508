"""Items on their way to a worker: nothing is changed, and what a group shares is sent once."""

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prorl_verifier import groups
from prorl_verifier.wire import Item, decode, encode, parse_batch

TEXT = st.text(st.characters(codec=None), max_size=6)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.integers(-(10**400), 10**400) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
METAS = st.dictionaries(TEXT, JSON, max_size=2)


def unpack(data: bytes) -> list[tuple[dict[str, Any], list[str]]]:
    """As a worker reads it."""
    stream = io.BytesIO(data)
    return [(group, [text for _, text in texts]) for group, texts in groups.read(stream)]


def pack(items: list[Item]) -> bytes:
    return groups.pack(map(groups.packed, items))


@given(JSON)
def test_any_json_is_read_as_it_was_written(value: Any) -> None:
    assert repr(decode(encode(value))) == repr(value)


@given(st.lists(st.tuples(JSON, METAS, st.lists(TEXT, min_size=1, max_size=3)), max_size=3))
def test_a_worker_reads_what_was_sent_in_order(drawn: list[tuple[Any, Any, list[str]]]) -> None:
    items = [
        Item(id="i", verifier="v", completion=text, answer=answer, meta=meta)
        for answer, meta, texts in drawn
        for text in texts
    ]
    found = [
        (group["verifier"], repr(group["answer"]), repr(group["meta"]), text)
        for group, texts in unpack(pack(items))
        for text in texts
    ]
    assert found == [(i.verifier, repr(i.answer), repr(i.meta), i.completion) for i in items]


def sent(*fields: dict[str, Any]) -> list[Item]:
    """Items as a batch brings them."""
    common = {"verifier": "v", "completion": "text", "meta": {"n": [1]}}
    items = [{"id": str(n), **common, **changes} for n, changes in enumerate(fields)]
    entries = parse_batch(json.dumps({"items": items}).encode())
    return [entry for entry in entries if isinstance(entry, Item)]


def test_what_the_completions_of_a_group_share_is_sent_once() -> None:
    items = sent(*[{"answer": "a" * 1000}] * 16, *[{"answer": ["other"]}] * 16)
    assert [len(texts) for _, texts in unpack(pack(items))] == [16, 16]
    assert len(pack(items)) < 2000


@pytest.mark.parametrize(
    "line",
    [
        b"", b"[]", b"{}", b'{"score": 1.0}', b'{"seconds": 1, "score": 1.5}',
        b'{"seconds": 1, "score": -1}', b'{"seconds": -1, "score": 1}',
        b'{"seconds": 1, "score": NaN}', b'{"seconds": 1, "score": true}',
        b'{"seconds": 1, "score": 1, "reason": 1}',
    ],
)  # fmt: skip
def test_what_no_worker_should_say_is_no_answer(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"JSON|Expected|missing|truncated"):
        groups.read_answer(line)


def test_a_reason_that_quotes_half_a_character_reaches_the_service() -> None:
    said = {"score": 0.0, "reason": "no \ud800", "seconds": 0.5}
    line = groups.answer_line(said)
    assert line.endswith(b"\n")
    assert groups.read_answer(line) == groups.Answer(score=0.0, reason="no \\ud800", seconds=0.5)


def test_answers_that_only_compare_equal_are_no_group() -> None:
    answers = [1, True, 1.0, "1", [1], [True], 0.0, -0.0, 0, False]
    found = unpack(pack(sent(*({"answer": answer} for answer in answers))))
    assert [repr(group["answer"]) for group, _ in found] == [repr(answer) for answer in answers]


def test_another_verifier_or_meta_begins_another_group() -> None:
    items = sent({"answer": 1}, {"answer": 1, "verifier": "w"}, {"answer": 1, "meta": {"n": [2]}})
    assert [len(texts) for _, texts in unpack(pack(items))] == [1, 1, 1]
