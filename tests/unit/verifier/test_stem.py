"""The stem scorer: hostile answers, bad expectations, and no credit without the answer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from judging import score
from prorl_verifier.domains import stem
from prorl_verifier.errors import BadItemError
from prorl_verifier.units import quantity

HOSTILE = [
    "9" * 100_000, "1e999999", "9" * 290, "5 " + "(" * 200, "5 " + "m" * 280, "5 " + "m·" * 140,
    "m^999999", "5 m^" + "9" * 200, "nan", "inf", "\x00", "\ud800", "٣", "1/0", "5/",
    "\\frac{" * 40,
    "10^999 m", "(" * 1_000_000, "\\text{" * 160_000, "A" * 1_900, "a " * 900, "5 x 10^",
    "{" * 1_999,
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("answer", ["A", "5 m", "water", 3])
def test_hostile_text_earns_nothing_and_raises_nothing(text: str, answer: object) -> None:
    for completion in (text, f"\\boxed{{{text}}}", f"<answer>{text}</answer>"):
        assert score(stem, completion, answer, {})[0] == 0.0


@pytest.mark.parametrize(
    "answer",
    [
        None, "", " ", [], {}, True, float("nan"), {"kind": "x", "accept": "1"}, [None], [["A"]],
        {"kind": "choice", "accept": "AB"}, {"kind": "number", "accept": "many"},
        {"accept": "1", "tolerance": 1}, {"accept": "1", "tolerance": "a"}, {"accept": "1", "x": 1},
    ],
)  # fmt: skip
def test_an_expectation_that_cannot_be_met_is_a_typed_error(answer: object) -> None:
    with pytest.raises(BadItemError, match="answer"):
        score(stem, "\\boxed{1}", answer, {})


@given(st.text(), st.sampled_from(["A", "5 m", "ribosome", 17]))
def test_any_text_without_the_answer_earns_nothing(text: str, answer: object) -> None:
    text = text.replace("A", "").replace("a", "").replace("5", "").replace("17", "")
    for completion in (text, f"\\boxed{{{text}}}", f"<answer>{text}</answer>"):
        if "ribosome" not in text:
            assert score(stem, completion, answer, {})[0] == 0.0


@given(st.text(alphabet="0123456789.eE+-^{}\\/ ×·()mskgNJfractext%°", max_size=60))
def test_any_quantity_is_read_or_refused(text: str) -> None:
    quantity(text)
