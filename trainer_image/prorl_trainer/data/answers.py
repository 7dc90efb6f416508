"""What each verifier takes for an answer; docs/verifiers.md says how it judges by it."""

import math
from collections.abc import Callable
from typing import Any

from prorl_api.spec_model import VerifierName

from prorl_trainer.data.files import parse_json

AS_JSON = (VerifierName.INSTRUCTION, VerifierName.CODE)
"""Their answers may be given as JSON text: columns of a file have one type, arguments do not."""

Form = tuple[Callable[[Any], bool], str]
"""Is it an answer, and what an answer must be."""


def to_answer(verifier: str, value: Any) -> Any:
    """The answer as the verifier wants it. Raises ValueError saying what it must be."""
    is_answer, must = FORMS.get(verifier, FORMS[VerifierName.MATH_VERIFY])
    if verifier in AS_JSON and isinstance(value, str):
        try:
            value = parse_json(value)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"must be {must}, also as JSON text, but: {error}") from error
    if verifier == VerifierName.CODE:
        value = _program_tests(value)
    if not _is_finite(value) or not is_answer(value):
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


def _is_finite(value: Any) -> bool:
    """No NaN and no infinity anywhere inside."""
    if isinstance(value, dict):
        return all(map(_is_finite, value.values()))
    if isinstance(value, list):
        return all(map(_is_finite, value))
    return not isinstance(value, float) or math.isfinite(value)


def _is_math(answer: Any) -> bool:
    if isinstance(answer, str):
        return bool(answer.strip())
    return isinstance(answer, int | float) and not isinstance(answer, bool)


def _is_stem(answer: Any) -> bool:
    """A text, a number, several of them, or an object that accepts such."""
    if isinstance(answer, dict):
        answer = answer.get("accept")
    accepted = answer if isinstance(answer, list) else [answer]
    return bool(accepted) and all(_is_math(one) for one in accepted)


def _is_instruction(answer: Any) -> bool:
    return (
        isinstance(answer, list)
        and bool(answer)
        and all(isinstance(one, dict) and isinstance(one.get("id"), str) for one in answer)
    )


def _is_code(answer: Any) -> bool:
    if not isinstance(answer, dict) or not isinstance(answer.get("tests"), list):
        return False
    function = answer.get("function")
    is_test = _is_program_test if function is None else _is_function_test
    named = function is None or (isinstance(function, str) and function.isidentifier())
    return named and bool(answer["tests"]) and all(map(is_test, answer["tests"]))


def _is_program_test(test: Any) -> bool:
    return isinstance(test, dict) and all(
        isinstance(test.get(key), str) for key in ("input", "output")
    )


def _is_function_test(test: Any) -> bool:
    return isinstance(test, dict) and isinstance(test.get("args"), list) and "expected" in test


FORMS: dict[str, Form] = {
    VerifierName.MATH_VERIFY: (_is_math, "a non-empty text or a finite number"),
    VerifierName.STEM: (
        _is_stem,
        "a non-empty text, a finite number, a list of those or an object that has them in `accept`",
    ),
    VerifierName.INSTRUCTION: (_is_instruction, "a list of objects with `id` and `kwargs`"),
    VerifierName.CODE: (
        _is_code,
        "an object with `tests`: of `input` and `output` (texts), or beside `function` (a name) of "
        "`args` (a list) and `expected`",
    ),
}
