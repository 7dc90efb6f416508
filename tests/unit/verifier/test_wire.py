"""A batch with a bad item: that item is an infra-error, and the others are judged."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import astuple
from prorl_verifier.errors import BadItemError
from prorl_verifier.runs import completion_of, problem_of, tasks
from prorl_verifier.wire import (
    FAIL,
    INFRA_ERROR,
    MAX_DEPTH,
    MAX_DIGITS,
    BatchError,
    Item,
    Verdict,
    encode,
    parse_batch,
)

GOOD = {"id": "good", "verifier": "math-verify", "completion": "1", "answer": "1", "meta": {}}


def nested(depth: int) -> Any:
    value: Any = "1"
    for _ in range(depth):
        value = [value]
    return value


def parse_beside_good(text: str) -> Item | Verdict:
    """What becomes of an item between two good ones, which stay as they are."""
    before, after = ({**GOOD, "id": name} for name in ("before", "after"))
    body = f'{{"items": [{json.dumps(before)}, {text}, {json.dumps(after)}]}}'
    first, middle, last = parse_batch(body.encode())
    assert [values(first), values(last)] == [values(Item(**before)), values(Item(**after))]
    return middle


def values(entry: Item | Verdict) -> tuple[Any, ...]:
    """Of the fields, as a worker reads them."""
    if isinstance(entry, Item):
        (task,) = tasks(encode([entry]))
        return entry.id, task.verifier, completion_of(task), *problem_of(task)
    return astuple(entry)


def fault_of(entry: Item | Verdict) -> str | None:
    """Why it is an infra-error, at the latest when a worker reads it."""
    try:
        values(entry)
    except BadItemError as error:
        return str(error)
    is_error = isinstance(entry, Verdict) and (entry.outcome, entry.score) == (INFRA_ERROR, None)
    return entry.reason if is_error else None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ('"answer": null', "answer: missing"),
        ('"answer": NaN', "answer: holds a number that is not finite"),
        ('"answer": {"accept": [1, -Infinity]}', "answer: holds a number that is not finite"),
        ('"answer": 1e999', "answer: holds a number that is not finite"),
        (f'"answer": {"9" * (MAX_DIGITS + 1)}', "answer: holds a number that is not finite"),
        (f'"answer": {json.dumps(nested(MAX_DEPTH + 1))}', "answer: nested more than 100 deep"),
        ('"meta": {"entry": {"metadata": NaN}}', "meta: holds a number that is not finite"),
        ('"meta": []', "meta: must be an object"),
        ('"completion": 1', "completion: must be a text"),
        ('"completion": null', "completion: must be a text"),
        (f'"verifier": "{"x" * 64}"', "verifier: must be a text of 1 to 63 characters"),
        ('"verifier": ["math-verify"]', "verifier: must be a text of 1 to 63 characters"),
        ('"more": 1', "more: unknown field"),
    ],
)
def test_an_item_that_cannot_be_judged_is_an_infra_error_of_its_own(
    changes: str, reason: str
) -> None:
    found = parse_beside_good(json.dumps(GOOD)[:-1] + f", {changes}}}")  # the last one counts
    assert found.id == "good"
    assert reason in (fault_of(found) or "")
    beside = json.dumps({**GOOD, "id": "bad", "verifier": 1})  # and so every item is looked at
    body = f'{{"items": [{beside}, {json.dumps(GOOD)[:-1]}, {changes}}}]}}'
    assert reason in (fault_of(parse_batch(body.encode())[1]) or "")


@pytest.mark.parametrize("name", ["verifier", "completion", "answer"])
def test_a_field_that_is_missing_is_an_infra_error_too(name: str) -> None:
    found = parse_beside_good(json.dumps({k: v for k, v in GOOD.items() if k != name}))
    assert isinstance(found, Verdict)
    assert found.outcome == INFRA_ERROR
    assert f"items[1].{name}" in found.reason


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (int("9" * MAX_DIGITS), "9" * MAX_DIGITS),
        (nested(MAX_DEPTH), json.dumps(nested(MAX_DEPTH))),
        ("\ud800", '"\\ud800"'),
        (1.7e308, "1.7e308"),
    ],
)
def test_what_is_just_within_the_limits_is_judged_and_reaches_a_worker_as_it_is(
    answer: Any, text: str
) -> None:
    found = parse_beside_good(json.dumps(GOOD)[:-1] + f', "answer": {text}}}')
    assert isinstance(found, Item)
    assert values(found)[3] == answer


def test_too_long_a_completion_earns_nothing_and_no_worker_sees_it() -> None:
    for text in ("x", "\u00e9"):  # the second is six bytes as it is sent
        for length, judged in ((1_000_000, Item), (1_000_001, Verdict)):
            found = parse_beside_good(json.dumps({**GOOD, "completion": text * length}))
            assert isinstance(found, judged)
    assert isinstance(found, Verdict)
    assert (found.outcome, found.score) == (FAIL, 0.0)
    assert found.reason == "completion has more than 1000000 characters"


def test_a_batch_with_bytes_that_are_no_text_is_refused_though_only_a_worker_would_read_them() -> (
    None
):
    body = json.dumps({"items": [{**GOOD, "completion": "mark"}]}).encode()
    with pytest.raises(BatchError, match="body: not JSON"):
        parse_batch(body.replace(b"mark", b"\xff"))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=8,
)
FIELDS = st.sampled_from(["id", "verifier", "completion", "answer", "meta", "more"])


@given(items=st.lists(st.dictionaries(FIELDS, JSON) | JSON, max_size=4))
def test_any_batch_is_refused_as_a_whole_or_has_one_entry_per_item(items: list[Any]) -> None:
    told_apart = [item["id"] for item in items if isinstance(item, dict) and "id" in item]
    sound = all(isinstance(i, str) and i for i in told_apart) and len(told_apart) == len(items)
    body = json.dumps({"items": items}).encode()
    if sound and len({*told_apart}) == len(items):
        assert [entry.id for entry in parse_batch(body)] == told_apart
    else:
        with pytest.raises(BatchError, match=r"^items\["):
            parse_batch(body)


@given(items=st.lists(st.dictionaries(FIELDS, JSON) | st.just(GOOD), max_size=3), sign=st.text())
def test_what_is_sound_is_read_the_same_beside_what_is_not(items: list[Any], sign: str) -> None:
    """A fault in a batch, here a last item that is none, changes nothing for the others."""
    told_apart = [{**item, "id": str(n)} for n, item in enumerate(items)]
    last = {**GOOD, "id": "last", "completion": sign}
    with_fault = {**last, "answer": None}
    sound, faulty = (
        parse_batch(json.dumps({"items": [*told_apart, item]}).encode())
        for item in (last, with_fault)
    )
    assert [read(entry) for entry in sound[:-1]] == [read(entry) for entry in faulty[:-1]]


def read(entry: Item | Verdict) -> tuple[str, str]:
    """What can be told of it in the end; which of its faults is named may differ."""
    return (entry.id, INFRA_ERROR) if fault_of(entry) else (entry.id, repr(values(entry)))
