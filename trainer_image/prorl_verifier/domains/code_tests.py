"""The tests of a code problem, and when one is passed."""

from dataclasses import dataclass
from typing import Any

from prorl_verifier.errors import BadItemError

MAX_TESTS = 256
MAX_TEXT_BYTES = 1 << 20
"""Of one input, one output, or the JSON text of one call's arguments or result."""
MAX_DEPTH = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class ScriptTest:
    """A run of the program: stdin, and what it has to print."""

    stdin: bytes
    stdout: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class CallTest:
    """A call of the function: its arguments, and the value that it has to return."""

    args: list[Any]
    expected: Any


Tests = list[ScriptTest] | list[CallTest]


def parse_tests(answer: Any) -> tuple[str | None, Tests]:
    """The function's name, or None for scripts, and the tests. Raises BadItemError."""
    if not isinstance(answer, dict) or answer.keys() - {"function", "tests"}:
        raise BadItemError("answer: must be an object of tests and perhaps function")
    tests, function = answer.get("tests"), answer.get("function")
    if not isinstance(tests, list) or not 1 <= len(tests) <= MAX_TESTS:
        raise BadItemError(f"answer.tests: must be a list of 1 to {MAX_TESTS}")
    if function is None:
        return None, [_script(f"answer.tests[{i}]", test) for i, test in enumerate(tests)]
    if not isinstance(function, str) or not function.isidentifier():
        raise BadItemError("answer.function: must be a name")
    return function, [_call(f"answer.tests[{i}]", test) for i, test in enumerate(tests)]


def _fields(where: str, test: Any, names: set[str]) -> dict[str, Any]:
    if not isinstance(test, dict) or test.keys() != names:
        raise BadItemError(f"{where}: must be an object of {' and '.join(sorted(names))}")
    return test


def _script(where: str, test: Any) -> ScriptTest:
    fields = _fields(where, test, {"input", "output"})
    data = {}
    for name, text in fields.items():
        if not isinstance(text, str):
            raise BadItemError(f"{where}.{name}: must be a text")
        try:
            data[name] = text.encode()
        except UnicodeEncodeError as error:
            raise BadItemError(f"{where}.{name}: cannot be written as UTF-8") from error
        if len(data[name]) > MAX_TEXT_BYTES:
            raise BadItemError(f"{where}.{name}: {len(data[name])} bytes, at most {MAX_TEXT_BYTES}")
    return ScriptTest(stdin=data["input"], stdout=data["output"])


def _call(where: str, test: Any) -> CallTest:
    fields = _fields(where, test, {"args", "expected"})
    if not isinstance(fields["args"], list):
        raise BadItemError(f"{where}.args: must be a list")
    for name, value in fields.items():
        size = _size(f"{where}.{name}", value, MAX_DEPTH)
        if size > MAX_TEXT_BYTES:
            raise BadItemError(f"{where}.{name}: about {size} bytes, at most {MAX_TEXT_BYTES}")
    return CallTest(args=fields["args"], expected=fields["expected"])


def _size(where: str, value: Any, depth: int) -> int:
    """Bytes of the JSON text, about. Raises BadItemError for what is nested too deep."""
    if depth == 0:
        raise BadItemError(f"{where}: nested more than {MAX_DEPTH} deep")
    if isinstance(value, dict):
        return sum(len(k) * 6 + 4 + _size(where, v, depth - 1) for k, v in value.items()) + 2
    if isinstance(value, list):
        return sum(2 + _size(where, v, depth - 1) for v in value) + 2
    return len(value) * 6 + 2 if isinstance(value, str) else len(str(value))


def same_output(given: bytes, expected: bytes) -> bool:
    """Equal line by line without the white space at line ends and the empty lines at the end."""
    return _lines(given) == _lines(expected)


def _lines(data: bytes) -> list[bytes]:
    lines = [line.rstrip() for line in data.split(b"\n")]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def same_value(given: Any, expected: Any) -> bool:
    """Equal JSON of equal types: true is not 1, and 1 is not 1.0. `given` was parsed by us."""
    if type(given) is not type(expected):
        return False
    if isinstance(expected, list):
        return len(given) == len(expected) and all(map(same_value, given, expected))
    if isinstance(expected, dict):
        return given.keys() == expected.keys() and all(
            same_value(given[key], value) for key, value in expected.items()
        )
    return bool(given == expected)
