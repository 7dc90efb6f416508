"""Mathematics: exact and numeric comparison first, math-verify for the rest.

Runs in a worker that is killed when it takes too long: math-verify's own time-outs use SIGALRM and
are switched off.
"""

import re
from fractions import Fraction
from functools import lru_cache
from typing import Any

from prorl_verifier.extract import is_marked, math_answer

MAX_ANSWER_CHARACTERS = 2000
"""A longer answer is wrong, not worth parsing."""
MAX_DIGITS = 400
NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?(/[0-9]+)?", re.ASCII)


def score(completion: str, answer: Any, _: dict[str, Any]) -> tuple[float, str]:
    """1.0 if the answer equals the gold answer mathematically, else 0.0."""
    given, gold = math_answer(completion), str(answer).strip()
    if not given:
        return 0.0, "no answer"
    if len(given) > MAX_ANSWER_CHARACTERS:
        return 0.0, f"answer has {len(given)} characters, more than {MAX_ANSWER_CHARACTERS}"
    if given == gold:
        return 1.0, "exact"
    a, b = number(given), number(gold)
    if a is not None and b is not None:
        return (1.0, "numeric") if a == b else (0.0, "another number")
    if not is_marked(completion):
        # math-verify would pick whichever expression it likes out of prose.
        return 0.0, "not the answer, and neither boxed nor tagged"
    return (1.0, "math-verify") if _equivalent(given, gold) else (0.0, "not equivalent")


def number(text: str) -> Fraction | None:
    """A plain decimal or fraction in ASCII digits, exactly; None for anything else."""
    text = text.replace(" ", "").removeprefix("$").removesuffix("$")
    if not NUMBER.fullmatch(text) or len(text) > MAX_DIGITS:
        return None
    numerator, _, denominator = text.partition("/")
    if denominator and not int(denominator):
        return None
    return Fraction(numerator) / Fraction(denominator or 1)


def _equivalent(given: str, gold: str) -> bool:
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
    parsed: list[Any] = parse(f"${text}$", extraction_config=configs, parsing_timeout=None)
    return parsed
