"""STEM questions: multiple choice, numbers with units, short answers.

Answer format: the last `\\boxed{}` or `<answer></answer>` after `</think>`. Without one there is no
credit, whatever the prose says.

The expected answer is a text, a number, a list of those (any of them is right), or an object
`{"kind": "choice" | "number" | "text", "accept": ..., "tolerance": 0.02}`. Without a kind, a single
capital letter A to J is a choice, what reads as a number with a known unit is a number, and the
rest is text. Write the kind where this guesses wrong: `C` may be carbon, `5 F` five fluorines.

Comparators:
- choice: the letter in either case, alone, in brackets, or before `)`, `.` or `:` and the option's
  text. Two letters are no answer.
- number: same dimension, and a relative difference of at most `tolerance` (default 0.01) after
  conversion to base units. A unit that is expected must be given, and one that is not must not be.
  A whole number without unit and without `tolerance` is compared exactly; zero always is.
  Degrees Celsius are a unit of their own: they are not converted to kelvin.
- text: equal after Unicode NFKC, without LaTeX wrappers, subscript marks, a leading article, outer
  punctuation and repeated spaces, in any case. In chemical formulas the case counts.
"""

import math
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import Any

from prorl_verifier.errors import BadItemError
from prorl_verifier.extract import marked_answer
from prorl_verifier.memo import Memo
from prorl_verifier.units import Quantity, quantity

MAX_ANSWER_CHARACTERS = 2000
"""A longer answer is wrong, not worth parsing."""
DEFAULT_TOLERANCE = 0.01
KINDS = ("choice", "number", "text")

_WHOLE = re.compile(r"[+-]?[0-9]+")
_CHOICE = re.compile(r"[A-J]")
_GIVEN_CHOICE = re.compile(
    r"(?:(?:the )?(?:correct )?(?:option|choice|answer)(?: is)?:? ?)?"
    r"(?:\(([A-Ja-j])\)|([A-Ja-j])(?=$|[).:]))[).:]?( .*)?"
)
_ANOTHER_CHOICE = re.compile(
    r"\b([A-Ja-j])[).:]|\(([A-Ja-j])\)|\b(?:and|or|not) \(?([A-Ja-j])\b"
    r"|\b(?:also|but|maybe|perhaps|possibly) ([A-J])\b(?! [a-z])"
    r"|\b([A-J]) (?:(?:is|are|was|(?:can|could|may|might|would) be|looks|seems) )?"
    r"(?:acceptable|also|as well|correct|fine|possible|right|too|true)\b"
)
_WRAPPER = re.compile(r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mathit|rm|ce)\s*\{([^{}]*)\}")
_MARKS = str.maketrans("", "", "_{}$\\")
_ARTICLE = re.compile(r"(?:the|a|an) ", re.IGNORECASE)
_FORMULA = re.compile(r"(?:[A-Z][a-z]?[0-9]*|[()\[\]^+-][0-9]*)+")
_PLAIN_WORDS = frozenset({"Yes", "No", "True", "False"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Expected:
    """An answer that is right; `quantity` of a number."""

    kind: str
    text: str
    tolerance: float | None
    quantity: Quantity | None


def grader(answer: Any, _: dict[str, Any]) -> Callable[[str], tuple[float, str]]:
    """1.0 if the marked answer is one of the expected ones, else 0.0. Equal answers of a group are
    compared once. Raises BadItemError."""
    memo = Memo(partial(_compare, expected_answers(answer)))
    return lambda completion: memo[marked_answer(completion)]


def _compare(expected: list[Expected], given: str | None) -> tuple[float, str]:
    if not given:
        return 0.0, "no answer in \\boxed{} or <answer></answer>"
    if len(given) > MAX_ANSWER_CHARACTERS:
        return 0.0, f"answer has {len(given)} characters, more than {MAX_ANSWER_CHARACTERS}"
    for right in expected:
        if _matches(given, right):
            return 1.0, right.kind
    return 0.0, "not the answer"


def expected_answers(answer: Any) -> list[Expected]:
    """Every answer that is right. Raises BadItemError."""
    kind, tolerance, accept = None, None, answer
    if isinstance(answer, dict):
        unknown = sorted(str(key) for key in answer.keys() - {"kind", "accept", "tolerance"})
        if unknown:
            raise BadItemError(f"answer.{unknown[0]}: unknown field")
        kind, accept = answer.get("kind"), answer.get("accept")
        tolerance = _tolerance(answer.get("tolerance"))
    if kind is not None and kind not in KINDS:
        raise BadItemError(f"answer.kind: {kind!r}, must be one of {', '.join(KINDS)}")
    texts = [_gold(value) for value in (accept if isinstance(accept, list) else [accept])]
    if not texts:
        raise BadItemError("answer: an empty list accepts nothing")
    return [_expected(kind, text, tolerance) for text in texts]


def _tolerance(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
        raise BadItemError(f"answer.tolerance: {value!r}, must be from 0 to less than 1")
    return float(value)


def _gold(value: Any) -> str:
    if isinstance(value, str) and value.strip():
        return value.strip()
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return repr(value)
    raise BadItemError(f"answer: {str(value)[:60]!r} must be a non-empty text or a finite number")


def _expected(kind: str | None, text: str, tolerance: float | None) -> Expected:
    is_choice = _CHOICE.fullmatch(text.strip("()")) is not None
    kind = "choice" if kind is None and is_choice else kind
    value = quantity(text) if kind in (None, "number") else None
    if kind is None:
        kind = "text" if value is None else "number"
    if kind == "choice" and not is_choice:
        raise BadItemError(f"answer: {text[:60]!r} is no choice, must be a letter from A to J")
    if kind == "number" and value is None:
        raise BadItemError(f"answer: {text[:60]!r} is no number with a known unit")
    return Expected(kind=kind, text=text, tolerance=tolerance, quantity=value)


def _matches(given: str, right: Expected) -> bool:
    if right.kind == "choice":
        return choice(given) == right.text.strip("()")
    if right.kind == "text":
        return _is_text(given, right.text)
    a, b = quantity(_right_side(given)), right.quantity
    if a is None or b is None or a.dimension != b.dimension:
        return False
    tolerance = DEFAULT_TOLERANCE if right.tolerance is None else right.tolerance
    exact = right.tolerance is None and _WHOLE.fullmatch(right.text) is not None
    return near(a, b, 0 if exact else tolerance)


def near(a: Quantity, b: Quantity, tolerance: float) -> bool:
    """Relative to b, exactly."""
    return abs(a.value - b.value) <= Fraction(tolerance) * abs(b.value)


def _right_side(text: str) -> str:
    """The text without `x =` before it."""
    name, equals, value = text.partition("=")
    return value if equals and name.strip(" $").strip("\\").isalnum() and "=" not in value else text


def choice(text: str) -> str | None:
    """The one letter that is chosen, in upper case."""
    text = " ".join(_WRAPPER.sub(r"\1", text).strip("$ ").split())
    match = _GIVEN_CHOICE.fullmatch(text) or _GIVEN_CHOICE.fullmatch(text[:1].lower() + text[1:])
    if match is None:
        return None
    letter = str(match[1] or match[2]).upper()
    named = (
        another[another.lastindex or 0] for another in _ANOTHER_CHOICE.finditer(match[3] or "")
    )
    return None if any(other.upper() != letter for other in named) else letter


def _is_text(given: str, gold: str) -> bool:
    a, b = _normal(given), _normal(gold)
    if _FORMULA.fullmatch(b) and b not in _PLAIN_WORDS and len(b) > 1:
        return a == b
    return a.casefold() == b.casefold()


def _normal(text: str) -> str:
    text = unicodedata.normalize("NFKC", _WRAPPER.sub(r"\1", text)).translate(_MARKS)
    text = " ".join(text.split()).strip(" .,;:!?\"'")
    return _ARTICLE.sub("", text, count=1) if _ARTICLE.match(text) else text
