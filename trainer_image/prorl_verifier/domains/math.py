"""Mathematics: exact and numeric comparison first, math-verify for the rest.

Runs in a worker that is killed when it takes too long: math-verify's own time-outs use SIGALRM and
are switched off.
"""

from functools import lru_cache
from typing import Any

from prorl_verifier.extract import is_marked, math_answer
from prorl_verifier.notation import (
    contradicts,
    latex_number,
    number,
    numeric_sides,
    respell,
    undelimited,
)

MAX_ANSWER_CHARACTERS = 2000
"""A longer answer is wrong, not worth parsing."""


def score(completion: str, answer: Any, _: dict[str, Any]) -> tuple[float, str]:
    """1.0 if the answer equals the gold answer mathematically, else 0.0."""
    given, gold = math_answer(completion), str(answer).strip()
    if not given:
        return 0.0, "no answer"
    if len(given) > MAX_ANSWER_CHARACTERS:
        return 0.0, f"answer has {len(given)} characters, more than {MAX_ANSWER_CHARACTERS}"
    if given == gold:
        return 1.0, "exact"
    given, gold = respell(given), respell(gold)
    a, b = number(given), number(gold)
    if a is not None and b is not None:
        return (1.0, "numeric") if a == b else (0.0, "another number")
    if not is_marked(completion):
        # math-verify would pick whichever expression it likes out of prose.
        return 0.0, "not the answer, and neither boxed nor tagged"
    return (1.0, "math-verify") if _equivalent(given, gold) else (0.0, "not equivalent")


def _equivalent(given: str, gold: str) -> bool:
    inner = undelimited(given)
    if inner is None or contradicts(inner, gold):
        return False
    sides = [] if "=" in gold else numeric_sides(inner)
    return all(_verify(text, gold) for text in [inner, *sides])


def _verify(given: str, gold: str) -> bool:
    from math_verify import verify

    parsed = _parse(given)
    return bool(parsed) and bool(verify(list(_gold(gold)), parsed, timeout_seconds=None))


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
