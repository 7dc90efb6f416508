"""The code domain without a process: which program counts, which tests there are, what is equal."""

import json
from typing import Any

import pytest
from prorl_verifier.domains.code_tests import (
    MAX_DEPTH,
    MAX_TESTS,
    MAX_TEXT_BYTES,
    parse_tests,
    same_output,
    same_value,
)
from prorl_verifier.errors import BadItemError
from prorl_verifier.extract import fenced_program
from prorl_verifier.sandbox import frames

A, B = "print(1)\n", "print(2)\n"


@pytest.mark.parametrize(
    ("completion", "program"),
    [
        (f"```python\n{A}```", A),
        (f"```\n{A}```\nand\n```py\n{B}```", B),
        (f"```python\n{A}```\n```text\nout\n```", A),
        (f"```python\n{A}```\n```\n{B}", A),
        (f"~~~python3\n{A}~~~~\n", A),
        (f"````python\n{A}```\n````", A + "```\n"),
        (f"```python\n{A}~~~\n", None),
        (f"```python\n{A}```python\n", None),
        (f"  ```Python  \n{A}  ```  \r\n", A),
        (f"```python\r\n{A}```\r\n", A),
        (f"x ```python\n{A}```", None),
        (f"    ```python\n{A}    ```", None),
        ("```python\n```", ""),
        (f"<think>```python\n{A}```</think>", None),
        (f"<think>\n```python\n{A}```\n</think>\n```python\n{B}```", B),
        (f"```python\n{A}```\n<think>", A),
        (f"<think>```python\n{A}```", None),
        ("", None),
        ("```" * 1000, None),
        (f"```a`b\n{A}```\n", None),
        (f"~~~ python `x`\n{A}~~~", A),
        ("```" + "a" * 300_000 + "`", None),
        ("```" + " " * 300_000 + "`", None),
        ("`" * 300_000 + "\n" + "`" * 299_999, None),
        ("```\n" * 100_001, ""),
    ],
)
def test_the_last_closed_block_of_python_after_thinking_is_the_program(
    completion: str, program: str | None
) -> None:
    assert fenced_program(completion) == program


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


SCRIPT = {"input": "1", "output": "1"}
CALL = {"args": [1], "expected": 1}


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("4", "answer: must be an object"),
        ({"tests": [SCRIPT], "timeout": 99}, "answer: must be an object of tests"),
        ({"tests": []}, f"answer.tests: must be a list of 1 to {MAX_TESTS}"),
        ({"tests": [SCRIPT] * (MAX_TESTS + 1)}, "answer.tests"),
        ({"tests": [SCRIPT, CALL]}, "answer.tests[1]: must be an object of input and output"),
        ({"tests": [{"input": 1, "output": "1"}]}, "answer.tests[0].input: must be a text"),
        ({"tests": [{"input": "\ud800", "output": ""}]}, "answer.tests[0].input: cannot be"),
        ({"tests": [{"input": "", "output": "x" * (MAX_TEXT_BYTES + 1)}]}, "[0].output: 1048577"),
        ({"function": "f", "tests": [SCRIPT]}, "[0]: must be an object of args and expected"),
        ({"function": "f()", "tests": [CALL]}, "answer.function: must be a name"),
        ({"function": "f", "tests": [{"args": 1, "expected": 1}]}, "[0].args: must be a list"),
        (
            {"function": "f", "tests": [{"args": [], "expected": deep(MAX_DEPTH)}]},
            "[0].expected: nested more than 64 deep",
        ),
        (
            {"function": "f", "tests": [{"args": ["x" * MAX_TEXT_BYTES], "expected": 1}]},
            "[0].args: about",
        ),
    ],
)
def test_a_wrong_answer_is_told_its_field(answer: Any, words: str) -> None:
    with pytest.raises(BadItemError) as error:
        parse_tests(answer)
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("given", "same"),
    [
        (b"1\n2\n", True),
        (b"1\n2", True),
        (b"1  \r\n2\t\n\n \n", True),
        (b"1\n\n2\n", False),
        (b"\n1\n2", False),
        (b" 1\n2", False),
        (b"1 2", False),
        (b"1\n2.0", False),
        (b"1\n2\n3", False),
        (b"1\n2\n\0", False),
        (b"", False),
        ("１\n２".encode(), False),
    ],
)
def test_output_is_compared_by_lines_without_white_space_at_their_ends(
    given: bytes, same: bool
) -> None:
    assert same_output(given, b"1\n2\n") is same


@pytest.mark.parametrize(
    ("given", "expected", "same"),
    [
        ("1", "1", True),
        ("1", "1.0", False),
        ("true", "1", False),
        ("0", "false", False),
        ("null", "false", False),
        ("0.0", "-0.0", True),
        ('"1"', "1", False),
        ("[1, 2]", "[1, 2]", True),
        ("[1, true]", "[1, 1]", False),
        ("[1]", "[1, 1]", False),
        ("[1, 1]", "[1]", False),
        ('{"b": [1], "a": 2}', '{"a": 2, "b": [1]}', True),
        ('{"a": 1}', '{"a": 1.0}', False),
        ('{"a": 1, "b": 1}', '{"a": 1}', False),
        ("[]", "{}", False),
        ("0.30000000000000004", "0.3", False),
        ('"é"', '"e\\u0301"', False),
    ],
)
def test_values_are_equal_only_with_equal_types(given: str, expected: str, same: bool) -> None:
    assert same_value(json.loads(given), json.loads(expected)) is same


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"1",
        b"{",
        b'{"value": NaN}',
        b'{"value": -Infinity}',
        b'{"value": 1e999}',
        b'{"value": ' + b"[" * 100_000,
        b'{"value": ' + b"9" * 5000 + b"}",
        b'{"value": "\xff"}',
    ],
)
def test_what_is_not_bounded_finite_json_is_no_value(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        frames.parse(body)
