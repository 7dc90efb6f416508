"""Writes the hostile inputs: `python tests/hostile/make.py` after a change of attacks or cases.

One line is {name, verifier, completion, answer, meta, score}, and slow if it hangs until it is
killed. The score is what the completion has earned, which is nothing unless it is right.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from hostile import code_cases, text_cases  # noqa: E402 - not installed, so found by path

SETS: dict[str, Callable[[], list[dict[str, Any]]]] = {
    "code": code_cases.cases,
    "text": text_cases.cases,
}


def text_of(name: str) -> str:
    """The file's text; ASCII, since some inputs are no UTF-8."""
    return "".join(json.dumps(case) + "\n" for case in SETS[name]())


def main() -> None:
    """Writes every file."""
    for name in SETS:
        (HERE / f"{name}.jsonl").write_text(text_of(name), encoding="ascii")


if __name__ == "__main__":
    main()
