"""Any text through the text scorers: a score from 0 to 1, none without the answer, the right answer
in any permitted wrapping, and the same verdict whatever was judged before."""

import json
import random
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from golden import make
from hypothesis import given, settings
from hypothesis import strategies as st
from judging import judge, make_task
from prorl_verifier.worker import GRADERS, opened

Case = dict[str, Any]
FOLDER = Path(make.__file__).parent
VERIFIERS = {
    "math": "math-verify",
    "logic": "reasoning-gym",
    "stem": "stem",
    "instruction": "instruction",
}
MARKED = ("math", "logic", "stem")
MARKS = ("\\boxed{", "<answer>", "<think>", "</think>")
OWN = ("math", "stem", "instruction")
"""logic asks reasoning-gym, whose scorers may raise on any text: a worker makes that 0."""
bounded = settings(derandomize=True, max_examples=150, database=None)

WORDS = (
    "\\boxed{", "}", "{", "<answer>", "</answer>", "<think>", "</think>", "\\frac", "\\sqrt",
    "\\text{", "$", "\\(", "\\)", "=", "^", "_", "1", "42", "0.5", "e999", "1e9", "\\pm", "\\infty",
    "%", " or ", " and ", ",", "A", "B)", "(C)", "m/s^2", "kg", "°C", "\u200b", "\u202e", "٤", "４",
    "²", "½", "−", "\n", "******", "***", "<<", ">>", "P.S.", "[", "]", '"', "* a", "```", "\x00",
    "\ud800", "nan", "x", "yes", "\\ne", "\\cup", "[0,1)", "\\{1,2\\}",
)  # fmt: skip
soup = st.lists(st.sampled_from(WORDS), max_size=12).map("".join)
completions = st.one_of(st.text(max_size=80), soup, soup.map(lambda text: f"\\boxed{{{text}}}"))


@lru_cache(maxsize=8)
def golden(domain: str) -> tuple[Case, ...]:
    lines = (FOLDER / f"{domain}.jsonl").read_text().splitlines()
    return tuple({**json.loads(line), "verifier": VERIFIERS[domain]} for line in lines)


def score_of(case: Case, completion: str) -> float:
    """As a worker gives it."""
    return float(judge({**case, "completion": completion})["score"])


def golds(domain: str) -> Iterator[tuple[Case, str]]:
    """Every case's expectation as a text that a model would write."""
    for case in golden(domain):
        answer = case["answer"]
        accept = answer["accept"] if isinstance(answer, dict) else answer
        for text in accept if isinstance(accept, list) else [accept]:
            yield case, str(text)


def marked(domain: str, text: str) -> str:
    return f"<answer>{text}</answer>" if domain == "logic" else f"\\boxed{{{text}}}"


def cases(*domains: str) -> st.SearchStrategy[tuple[str, Case]]:
    pairs = [st.tuples(st.just(domain), st.sampled_from(golden(domain))) for domain in domains]
    return st.one_of(*pairs)


@bounded
@given(cases(*VERIFIERS), completions)
def test_any_text_is_given_a_score_from_0_to_1(one: tuple[str, Case], text: str) -> None:
    domain, case = one
    assert 0.0 <= score_of(case, text) <= 1.0
    if domain in OWN:
        GRADERS[case["verifier"]](case["answer"], case["meta"])(text)


@bounded
@given(cases(*MARKED), st.one_of(st.text(max_size=80), soup))
def test_text_without_an_answer_earns_nothing(one: tuple[str, Case], text: str) -> None:
    domain, case = one
    for mark in MARKS:
        text = text.replace(mark, "")
    prose = f"{text} so {case['answer']} may be it, or not."
    assert score_of(case, prose) == 0.0
    if domain == "stem":
        assert score_of(case, str(case["answer"])) == 0.0


@pytest.mark.parametrize("domain", MARKED)
def test_every_gold_answer_is_right(domain: str) -> None:
    assert [gold for case, gold in golds(domain) if score_of(case, marked(domain, gold)) != 1] == []


WRAPPINGS = (
    "%s", "%s\n", "So it is %s.", "<think>\\boxed{8}? <answer>9</answer></think>\n\n%s",
    "First \\boxed{8}.\nThen <answer>9</answer>.\r\n%s", "\ufeff \x00 %s \u200b", "$$%s$$",
    "%s %s", "<|im_start|>assistant\n%s<|im_end|>", "٤ \ud800 %s",
)  # fmt: skip
lead = st.text(max_size=40).filter(lambda text: not any(mark in text for mark in MARKS))


@bounded
@given(cases(*MARKED), st.sampled_from(WRAPPINGS), lead)
def test_what_is_around_an_answer_does_not_change_its_score(
    one: tuple[str, Case], wrapping: str, before: str
) -> None:
    domain, case = one
    answer = case["answer"]
    accept = answer["accept"] if isinstance(answer, dict) else answer
    gold = marked(domain, str(accept[0] if isinstance(accept, list) else accept))
    assert score_of(case, before + wrapping.replace("%s", gold)) == 1.0


@bounded
@given(cases(*MARKED), lead)
def test_another_final_answer_takes_the_place_of_the_right_one(
    one: tuple[str, Case], between: str
) -> None:
    domain, case = one
    for final in (
        marked(domain, "no answer to anything"),
        marked(domain, ""),
        marked(domain, "π♣"),
    ):
        given_twice = f"{marked(domain, str(case['answer']))}{between}{final}"
        assert score_of(case, given_twice) == 0.0


@bounded
@given(cases("instruction"), completions)
def test_a_thought_follows_no_instruction(one: tuple[str, Case], text: str) -> None:
    _, case = one
    told = text.replace("<think>", "").replace("</think>", "")
    after = score_of(case, told)
    assert score_of(case, f"<think>{case['completion']}</think>{told}") == after


def test_a_verdict_does_not_depend_on_what_was_judged_before() -> None:
    some = [case for domain in VERIFIERS for case in golden(domain)[::4]]
    first = [score_of(case, case["completion"]) for case in some]
    for seed in range(3):
        order = random.Random(seed).sample(range(len(some)), len(some))
        again = {i: score_of(some[i], some[i]["completion"]) for i in order}
        assert [again[i] for i in range(len(some))] == first


@bounded
@given(cases(*VERIFIERS), st.lists(completions, min_size=1, max_size=6))
def test_the_verdicts_of_a_group_are_those_of_its_completions_alone(
    one: tuple[str, Case], texts: list[str]
) -> None:
    _, case = one
    texts = [*texts, case["completion"], *texts]
    items = [{**case, "completion": text} for text in texts]
    answer_of = opened(make_task(case))
    assert [answer_of(make_task(item)) for item in items] == [judge(item) for item in items]
