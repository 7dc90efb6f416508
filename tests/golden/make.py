"""Writes the golden files: `python tests/golden/make.py` after a change of any *_cases.py.

A verdict is part of how its case is built; no scorer is asked.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from golden import code_cases, instruction_cases, logic_cases, math_cases, stem_cases  # noqa: E402 - not installed, so found by path
from golden.frames import Case  # noqa: E402

SETS: dict[str, Callable[[], list[Case]]] = {
    "math": math_cases.cases,
    "logic": logic_cases.cases,
    "stem": stem_cases.cases,
    "instruction": instruction_cases.cases,
    "code": code_cases.cases,
}


def text_of(name: str) -> str:
    """The golden file's text."""
    return "".join(json.dumps(case, ensure_ascii=False) + "\n" for case in SETS[name]())


def main() -> None:
    """Writes every file."""
    for name in SETS:
        (HERE / f"{name}.jsonl").write_text(text_of(name), encoding="utf-8")


if __name__ == "__main__":
    main()
