"""Mathematics: exact and numeric comparison first, math-verify for the rest.

Runs in a worker that is killed when it takes too long: math-verify's own time-outs use SIGALRM and
are switched off.
"""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

from prorl_verifier.extract import after_thinking, marked_answer
from prorl_verifier.memo import Memo
from prorl_verifier.notation import (
    approximations,
    contradicts,
    is_equation,
    latex_number,
    number,
    numeric_sides,
    respell,
    squeezed,
    undelimited,
)
from prorl_verifier.whole import is_whole

MAX_ANSWER_CHARACTERS = 2000
"""A longer answer is wrong, not worth parsing."""


def grader(answer: Any, _: dict[str, Any]) -> Callable[[str], tuple[float, str]]:
    """1.0 if a completion's answer equals the gold answer mathematically, else 0.0. Equal answers
    of a group are compared once."""
    memo = Memo(partial(_compare, str(answer).strip()))

    def grade(completion: str) -> tuple[float, str]:
        marked = marked_answer(completion)
        given = after_thinking(completion).strip() if marked is None else marked
        return memo[given, marked is not None]

    return grade


def _compare(gold: str, answer: tuple[str, bool]) -> tuple[float, str]:
    given, is_marked = answer
    if not given:
        return 0.0, "no answer"
    if len(given) > MAX_ANSWER_CHARACTERS:
        return 0.0, f"answer has {len(given)} characters, more than {MAX_ANSWER_CHARACTERS}"
    if given == gold:
        return 1.0, "exact"
    given, gold = respell(given), respell(gold)
    if squeezed(given) == squeezed(gold):
        return 1.0, "exact"
    a, b = number(given), number(gold)
    if a is not None and b is not None:
        return (1.0, "numeric") if a == b else (0.0, "another number")
    if not is_marked:
        # math-verify would pick whichever expression it likes out of prose.
        return 0.0, "not the answer, and neither boxed nor tagged"
    return (1.0, "math-verify") if _equivalent(given, gold) else (0.0, "not equivalent")


def _equivalent(given: str, gold: str) -> bool:
    inner = undelimited(given)
    if inner is None or contradicts(inner, gold):
        return False
    exact, *nearly = approximations(inner)
    sides = [] if is_equation(gold) else numeric_sides(exact)
    return (
        all(_verify(text, gold) for text in [exact, *sides])
        and all(_near(text, gold) for text in nearly)
        and all(is_whole(text) for text in [exact, *nearly])
    )


def _verify(given: str, gold: str) -> bool:
    from math_verify import verify

    parsed = _parse(given)
    return bool(parsed) and bool(verify(list(_gold(gold)), parsed, timeout_seconds=None))


def _near(given: str, gold: str) -> bool:
    """Within a hundredth, as what follows an `\\approx` is."""
    values = [parsed[0] for parsed in (_parse(given), _gold(gold)) if parsed]
    if len(values) < 2 or not all(getattr(value, "is_number", False) for value in values):
        return False
    a, b = (complex(value.evalf()) for value in values)
    return abs(a - b) <= abs(b) / 100


@lru_cache(maxsize=4096)
def _gold(gold: str) -> tuple[Any, ...]:
    return tuple(_parse(gold))


def _parse(text: str) -> list[Any]:
    """LaTeX in, expressions out. math-verify wants LaTeX to be delimited."""
    from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse

    configs = [LatexExtractionConfig(), ExprExtractionConfig()]
    latex = f"${latex_number(text)}$"
    parsed: list[Any] = parse(latex, extraction_config=configs, parsing_timeout=None)
    return parsed
