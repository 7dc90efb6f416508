"""docs/capabilities.md names tests that exist."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "capabilities.md").read_text()
ROWS = re.findall(r"^\| (.+) \| (tests/\S+)::(\w+) \|$", PAGE, re.MULTILINE)
LEVELS = re.findall(r"^## Level (\w+):", PAGE, re.MULTILINE)


@cache
def _tests_in(path: str) -> set[str]:
    tree = ast.parse((ROOT / path).read_text())
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in ast.walk(tree) if isinstance(node, functions)}


@pytest.mark.parametrize(("path", "test"), [row[1:] for row in ROWS])
def test_the_test_that_proves_a_capability_exists(path: str, test: str) -> None:
    assert test in _tests_in(path)


def test_every_row_of_every_level_names_a_test() -> None:
    assert LEVELS == ["I", "II", "III", "IV", "V"]
    levels, _, _ = PAGE.partition("## Not there")
    rows = [line for line in levels.splitlines() if line.startswith("| ")]
    assert len(ROWS) == len(rows) - len(LEVELS)
