"""Items on their way to a worker: nothing is changed. Its answers on their way back."""

import io
import json
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prorl_verifier import runs
from prorl_verifier.errors import BadItemError
from prorl_verifier.wire import Item, decode, encode, parse_batch

TEXT = st.text(st.characters(codec=None), max_size=6)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.integers(-(10**400), 10**400) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
METAS = st.dictionaries(TEXT, JSON, max_size=2)


def unpack(data: bytes) -> list[list[runs.Task]]:
    """As a worker reads it."""
    return list(runs.read(io.BytesIO(data)))


def values(task: runs.Task) -> tuple[str, ...]:
    """What a scorer is given."""
    return tuple(map(repr, (task.verifier, runs.completion_of(task), *runs.problem_of(task))))


@given(JSON)
def test_any_json_is_read_as_it_was_written(value: Any) -> None:
    assert repr(decode(encode(value))) == repr(value)


@given(st.lists(st.tuples(JSON.filter(lambda v: v is not None), METAS, TEXT), max_size=5))
def test_a_worker_reads_what_was_sent_in_order(drawn: list[tuple[Any, Any, str]]) -> None:
    items = [
        Item(id="i", verifier="v", completion=text, answer=answer, meta=meta)
        for answer, meta, text in drawn
    ]
    found = unpack(runs.pack(items[:2]) + runs.pack(items[2:]))
    assert [len(tasks) for tasks in found] == [len(items[:2]), len(items[2:])]
    assert [values(task) for tasks in found for task in tasks] == [
        tuple(map(repr, (i.verifier, i.completion, i.answer, i.meta))) for i in items
    ]


def sent(*fields: dict[str, Any], spaces: int | None = None) -> list[Item]:
    """Items as a batch brings them."""
    common = {"verifier": "v", "completion": "text", "meta": {"n": [1]}}
    items = [{"id": str(n), **common, **changes} for n, changes in enumerate(fields)]
    entries = parse_batch(json.dumps({"items": items}, indent=spaces).encode())
    return [entry for entry in entries if isinstance(entry, Item)]


def problems(items: list[Item]) -> int:
    """How many a worker reads."""
    ((*tasks,),) = unpack(runs.pack(items))
    return 1 + sum(a.problem != b.problem for a, b in pairwise(tasks))


def test_the_lines_of_a_text_that_was_sent_do_not_end_a_run() -> None:
    items = sent({"answer": [1, "\n"]}, {"answer": {"a": "\n"}}, spaces=1)
    ((first, second),) = unpack(runs.pack(items))
    assert [runs.problem_of(task)[0] for task in (first, second)] == [[1, "\n"], {"a": "\n"}]


def test_what_the_completions_of_a_group_share_is_one_problem() -> None:
    items = sent(*[{"answer": "a" * 1000}] * 16, *[{"answer": ["other"]}] * 16)
    assert problems(items) == 2


def test_answers_that_only_compare_equal_are_no_group() -> None:
    answers = [1, True, 1.0, "1", [1], [True], 0.0, -0.0, 0, False]
    items = sent(*({"answer": answer} for answer in answers))
    assert problems(items) == len(answers)
    ((*tasks,),) = unpack(runs.pack(items))
    assert [repr(runs.problem_of(task)[0]) for task in tasks] == [repr(a) for a in answers]


def test_another_verifier_or_meta_begins_another_group() -> None:
    items = sent({"answer": 1}, {"answer": 1, "verifier": "w"}, {"answer": 1, "meta": {"n": [2]}})
    assert problems(items) == 3


@pytest.mark.parametrize(
    "wrong", ["1", "null", '["text"]', "1e999", "9" * 5000, "[" * 99 + "]" * 99]
)
def test_a_completion_that_is_no_text_changes_nothing_for_those_beside_it(wrong: str) -> None:
    completions = ('"a"', wrong, '"\\ud800"')
    items = [
        Item(id="i", verifier="v", completion=msgspec.Raw(text.encode()), answer=1.0)
        for text in completions
    ]
    ((before, bad, after),) = unpack(runs.pack(items))
    assert [values(task)[1:3] for task in (before, after)] == [("'a'", "1.0"), ("'\\ud800'", "1.0")]
    with pytest.raises(BadItemError, match="completion: must be a text"):
        runs.completion_of(bad)


@pytest.mark.parametrize(
    "line",
    [
        b"", b"[]", b"{}", b'{"score": 1.0}', b'{"seconds": 1, "score": 1.5}',
        b'{"seconds": 1, "score": -1}', b'{"seconds": -1, "score": 1}',
        b'{"seconds": 1, "score": NaN}', b'{"seconds": 1, "score": true}',
        b'{"seconds": 1, "score": 1, "reason": 1}', b'{"seconds": 1} {"seconds": 1}',
    ],
)  # fmt: skip
def test_what_no_worker_should_say_is_no_answer_and_those_before_it_are(line: bytes) -> None:
    good = runs.answer_line({"score": 1.0, "reason": "", "seconds": 0.5})
    found = runs.read_answers(good * 2 + line + b"\n" + good)
    assert [*next(found), *next(found)] == [runs.Answer(score=1.0, seconds=0.5)] * 2
    with pytest.raises(ValueError, match=r"JSON|Expected|missing|truncated|not one answer"):
        next(found)


def test_a_reason_that_quotes_half_a_character_reaches_the_service() -> None:
    said = {"score": 0.0, "reason": "no \ud800", "seconds": 0.5}
    line = runs.answer_line(said)
    assert line.endswith(b"\n")
    (answers,) = runs.read_answers(line)
    assert answers == [runs.Answer(score=0.0, reason="no \\ud800", seconds=0.5)]
