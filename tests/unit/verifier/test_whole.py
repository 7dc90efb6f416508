"""Whether all of an answer is read: in short first, and never another verdict for it."""

import json
from pathlib import Path

import pytest
from golden import make
from prorl_verifier import whole
from prorl_verifier.whole import _reader, _reads, is_whole

IN_SHORT = ["(\\frac{6}{2}, 7]", "y=3x+7", "\\{1, 2, \\pi\\}", "a+b", "10e^{-3t}"]
ONLY_IN_FULL = ["x^2", "3x^2", "H_2O", "x^2+1"]
IN_NEITHER = ["42~43", "43\\to 42", "a+b)", "(1, 2", "\\frac{1}{2", "\\foo", "", "=4"]


@pytest.mark.parametrize("text", IN_SHORT)
def test_most_of_mathematics_is_read_in_short(text: str) -> None:
    assert _reads(_reader(text, in_short=True))
    assert is_whole(text)


@pytest.mark.parametrize("text", ONLY_IN_FULL)
def test_what_is_not_read_in_short_is_read_in_full(text: str) -> None:
    assert not _reads(_reader(text, in_short=True))
    assert is_whole(text)


@pytest.mark.parametrize("text", IN_NEITHER)
def test_what_is_not_read_to_its_end_is_not_whole(text: str) -> None:
    assert not _reads(_reader(text, in_short=True))
    assert not is_whole(text)


def test_nothing_is_whole_in_short_that_is_not_in_full() -> None:
    cases = (Path(make.__file__).parent / "math.jsonl").read_text().splitlines()
    answers = sorted({str(json.loads(case)["answer"]) for case in cases})[::3]
    texts = [f"{answer}{end}" for answer in answers for end in ("", ",", " 4", ")", "=4")]
    short = {text for text in texts if _reads(_reader(text, in_short=True))}
    assert short
    assert [text for text in sorted(short) if not _reads(_reader(text))] == []


def test_the_parser_of_the_library_learns_nothing_from_what_is_read_in_short() -> None:
    def states() -> int:
        return sum(len(decision.states) for decision in reader.decisionsToDFA)

    reader = _reader("y=3x+7")
    before = states()
    assert _reads(_reader("\\sqrt{5}\\cdot\\frac{z}{w}+\\binom{3}{2}", in_short=True))
    assert states() == before
    assert sum(len(decision.states) for decision in whole._learnt()[0])
