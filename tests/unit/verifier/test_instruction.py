"""The instruction scorer: hostile texts, bad arguments, and nothing for nothing."""

import time
from typing import Any

import pytest
from golden.instruction_cases import GROUPS
from hypothesis import given, settings
from hypothesis import strategies as st
from judging import judge, score
from prorl_verifier.domains import instruction
from prorl_verifier.errors import BadItemError

EVERY_RULE = [{"id": name, "kwargs": kwargs} for name, kwargs, _, _ in GROUPS]
HOSTILE = [
    "." * 999_000 + "x", "[" * 999_000, "<<" * 499_000, "* " * 400_000, "*a" * 499_000,
    "{" * 500_000, "[1," * 300_000, "9" * 999_000, "\x00\ud800" * 1000, "a-" * 400_000,
    " \t" * 400_000, '."' * 400_000, "```json\n" * 100_000, "Section 1\n" * 90_000,
]  # fmt: skip


def test_every_rule_has_a_golden_case() -> None:
    assert {name for name, *_ in GROUPS} == instruction.RULES.keys()


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_a_long_hostile_text_is_judged_in_bounded_time(text: str) -> None:
    began = time.monotonic()
    assert 0 <= score(instruction, text, EVERY_RULE, {})[0] < 1
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    "answer",
    [
        None, "x", [], [1], [{}], [{"id": "no:such"}], [{"id": ["x"]}], [{"id": "x", "y": 1}],
        [{"id": "punctuation:no_comma", "kwargs": []}],
        [{"id": "punctuation:no_comma", "kwargs": {"x": 1}}],
        [{"id": "keywords:existence", "kwargs": {}}],
        [{"id": "keywords:existence", "kwargs": {"keywords": [""]}}],
        [{"id": "keywords:letter_frequency", "kwargs": {"letter": "ab", "let_frequency": 1}}],
        [{"id": "length_constraints:number_words", "kwargs": {"num_words": float("nan")}}],
        [{"id": "length_constraints:number_words", "kwargs": {"num_words": -1}}],
        [{"id": "length_constraints:number_words", "kwargs": {"num_words": 1, "relation": "?"}}],
    ],
)  # fmt: skip
@pytest.mark.parametrize("text", ["", "some text"])
def test_bad_instructions_are_an_infra_error_whatever_the_text(answer: Any, text: str) -> None:
    with pytest.raises(BadItemError, match="answer"):
        score(instruction, text, answer, {})
    item = {"verifier": "instruction", "completion": text, "answer": answer, "meta": {}}
    assert judge(item)["error"].startswith("answer")


def test_arguments_that_are_null_are_absent() -> None:
    kwargs = {"num_words": 2.0, "relation": "exactly", "keywords": None}
    answer = [{"id": "length_constraints:number_words", "kwargs": kwargs}]
    assert score(instruction, "two words", answer, {})[0] == 1.0


@given(st.text())
@settings(max_examples=60)
def test_any_text_has_a_score_and_a_blank_one_none(text: str) -> None:
    assert 0 <= score(instruction, text, EVERY_RULE, {})[0] < 1
    assert score(instruction, f"<think>{text}", EVERY_RULE, {})[0] < 1
    assert score(instruction, " \n", EVERY_RULE, {})[0] == 0


@given(st.text(alphabet="bcd ,.\n*[]<>{}\\\"'"))
@settings(max_examples=60)
def test_a_text_without_the_word_never_has_it(text: str) -> None:
    answer = [{"id": "keywords:existence", "kwargs": {"keywords": ["zebra"]}}]
    assert score(instruction, text, answer, {})[0] == 0
