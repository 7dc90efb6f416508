"""What the data layer takes for an answer is what the scorers can judge by, and the reverse: else a
run would start with rows whose completions nobody judges."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prorl_trainer.data.answers import to_answer
from prorl_verifier.domains.code_tests import parse_tests
from prorl_verifier.domains.instruction import parse_instructions
from prorl_verifier.domains.stem import expected_answers
from prorl_verifier.errors import BadItemError

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
)
JSON = st.recursive(
    SCALARS | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2)
    ),
    max_leaves=4,
)


def objects(*names: str, values: st.SearchStrategy[Any] = JSON) -> st.SearchStrategy[Any]:
    """Objects with some of these keys, or with one that is wrong."""
    return st.dictionaries(st.sampled_from([*names, "other"]), values, max_size=len(names))


TEXTS = st.sampled_from(["", " ", "5", "5 m", "B", "add", "a b", "x²"])
SCRIPTS = st.fixed_dictionaries({"input": TEXTS, "output": TEXTS})
CALLS = st.fixed_dictionaries({"args": st.lists(JSON, max_size=2), "expected": JSON})
TESTS = st.lists(SCRIPTS, max_size=2) | st.lists(CALLS, max_size=2)
CODE = (
    st.fixed_dictionaries({"tests": TESTS}, optional={"function": TEXTS | st.none()})
    | objects("tests", "function", values=TESTS | TEXTS | JSON)
    | st.fixed_dictionaries({"tests": st.lists(objects("input", "output", "args", "expected"))})
)
STEM = (
    TEXTS
    | st.lists(TEXTS | SCALARS, max_size=2)
    | objects("accept", "tolerance", values=TEXTS | SCALARS | st.lists(TEXTS, max_size=2))
)


def judged(parse: Callable[[Any], object], answer: Any) -> bool:
    try:
        parse(answer)
    except BadItemError:
        return False
    return True


def taken(verifier: str, answer: Any) -> bool:
    try:
        return bool(to_answer(verifier, answer) == answer)
    except ValueError:
        return False


@settings(deadline=None)
@given(answer=CODE)
def test_code_answers_are_taken_if_and_only_if_the_scorer_can_run_them(answer: Any) -> None:
    assert taken("code", answer) == judged(parse_tests, answer)


@settings(deadline=None)
@given(answer=STEM)
def test_stem_answers_are_taken_if_and_only_if_the_scorer_can_compare_them(answer: Any) -> None:
    assert taken("stem", answer) == judged(expected_answers, answer)


@pytest.mark.parametrize(
    ("answer", "both"),
    [
        ([{"id": "punctuation:no_comma"}], True),
        ([{"id": "punctuation:no_comma", "kwargs": None}], True),
        ([{"id": "punctuation:no_comma", "kwargs": []}], False),
        ([{"id": "punctuation:no_comma", "more": 1}], False),
        ([{"id": "punctuation:no_comma"}] * 100, True),
        ([{"id": "punctuation:no_comma"}] * 101, False),
        ([], False),
        ({"id": "punctuation:no_comma"}, False),
    ],
)
def test_both_sides_have_the_same_form_of_instructions(answer: Any, both: bool) -> None:
    assert taken("instruction", answer) == judged(parse_instructions, answer) == both
