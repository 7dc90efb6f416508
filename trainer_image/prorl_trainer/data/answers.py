"""What each verifier takes for an answer; docs/verifiers.md says how it judges by it."""

import math
from collections.abc import Callable
from typing import Any

from prorl_api.spec_model import VerifierName

from prorl_trainer.data.files import is_unicode, parse_json

AS_JSON = (VerifierName.INSTRUCTION, VerifierName.CODE)
"""Their answers may be given as JSON text: columns of a file have one type, arguments do not."""

STEM_KINDS = (None, "choice", "number", "text")
MAX_INSTRUCTIONS = 100
MAX_TESTS = 256
MAX_TEXT_BYTES = 2**20
MAX_DEPTH = 64
"""Limits of the scorers; tests/contract/test_answers.py holds the two sides together."""

Form = tuple[Callable[[Any], bool], str]
"""Is it an answer, and what an answer must be."""


def to_answer(verifier: str, value: Any) -> Any:
    """The answer as the verifier wants it. Raises ValueError saying what it must be."""
    is_answer, must = FORMS.get(verifier, CUSTOM)
    if verifier in AS_JSON and isinstance(value, str):
        try:
            value = parse_json(value)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"must be {must}, also as JSON text, but: {error}") from error
    if verifier == VerifierName.CODE:
        value = _program_tests(value)
    if not _is_json(value) or not is_answer(value):
        raise ValueError(f"must be {must}")
    return value


def _program_tests(value: Any) -> Any:
    """The two lists that APPS, TACO and verl's code sets have -> pairs. Their function calls are
    wrapped in more than one way, so those are left alone (and refused)."""
    if not isinstance(value, dict) or value.get("fn_name"):
        return value
    inputs, outputs = value.get("inputs"), value.get("outputs")
    if not isinstance(inputs, list) or not isinstance(outputs, list):
        return value
    if len(inputs) != len(outputs):
        return value
    return {"tests": [{"input": i, "output": o} for i, o in zip(inputs, outputs, strict=True)]}


def to_meta(value: Any) -> Any:
    """A column that a custom verifier gets. Raises ValueError saying what it must be."""
    if not _is_json(value):
        raise ValueError("must be a JSON value")
    return value


def _is_json(value: Any, depth: int = MAX_DEPTH) -> bool:
    """It can be sent to the verifier: JSON types only, no NaN, no half of a surrogate pair."""
    if depth == 0:
        return False
    if isinstance(value, dict):
        return all(isinstance(k, str) and _is_json(v, depth - 1) for k, v in value.items())
    if isinstance(value, list):
        return all(_is_json(one, depth - 1) for one in value)
    if isinstance(value, float):
        return math.isfinite(value)
    return is_unicode(value) if isinstance(value, str) else isinstance(value, int | None)


def _is_math(answer: Any) -> bool:
    if isinstance(answer, str):
        return bool(answer.strip())
    return _is_number(answer)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_stem(answer: Any) -> bool:
    """A text, a number, several of them, or an object that accepts such."""
    if isinstance(answer, dict):
        tolerance = answer.get("tolerance")
        if answer.keys() - {"kind", "accept", "tolerance"} or answer.get("kind") not in STEM_KINDS:
            return False
        if tolerance is not None and not (_is_number(tolerance) and 0 <= tolerance < 1):
            return False
        answer = answer.get("accept")
    accepted = answer if isinstance(answer, list) else [answer]
    return bool(accepted) and all(_is_math(one) for one in accepted)


def _is_instruction(answer: Any) -> bool:
    return (
        isinstance(answer, list)
        and 1 <= len(answer) <= MAX_INSTRUCTIONS
        and all(
            isinstance(one, dict)
            and not one.keys() - {"id", "kwargs"}
            and isinstance(one.get("id"), str)
            and isinstance(one.get("kwargs"), dict | None)
            for one in answer
        )
    )


def _is_code(answer: Any) -> bool:
    if not isinstance(answer, dict) or answer.keys() - {"function", "tests"}:
        return False
    function, tests = answer.get("function"), answer.get("tests")
    if not isinstance(tests, list) or not 1 <= len(tests) <= MAX_TESTS:
        return False
    if function is None:
        return all(map(_is_script_test, tests))
    named = isinstance(function, str) and function.isidentifier()
    return named and all(map(_is_call_test, tests))


def _is_script_test(test: Any) -> bool:
    return (
        isinstance(test, dict)
        and test.keys() == {"input", "output"}
        and all(isinstance(t, str) and len(t.encode()) <= MAX_TEXT_BYTES for t in test.values())
    )


def _is_call_test(test: Any) -> bool:
    return (
        isinstance(test, dict)
        and test.keys() == {"args", "expected"}
        and isinstance(test["args"], list)
    )


CUSTOM: Form = (lambda answer: answer is not None, "a JSON value other than null")
"""What it means is known to the custom verifier only."""

FORMS: dict[str, Form] = {
    VerifierName.MATH_VERIFY: (_is_math, "a non-empty text or a finite number"),
    VerifierName.STEM: (
        _is_stem,
        "a non-empty text, a finite number, a list of those or an object that has them in `accept` "
        "(beside `kind` and `tolerance`)",
    ),
    VerifierName.INSTRUCTION: (
        _is_instruction,
        f"a list of 1 to {MAX_INSTRUCTIONS} objects with `id` and `kwargs`",
    ),
    VerifierName.CODE: (
        _is_code,
        f"an object with 1 to {MAX_TESTS} `tests`: of `input` and `output` (texts of at most "
        "1 MiB), or beside `function` (a name) of `args` (a list) and `expected`",
    ),
}
