"""Completions with known verdicts, through the scorers as a worker calls them; code, which needs a
sandbox, is judged in tests/integration."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from golden import make
from judging import judge

FOLDER = Path(make.__file__).parent
VERIFIERS = {
    "math": "math-verify",
    "logic": "reasoning-gym",
    "stem": "stem",
    "instruction": "instruction",
}


def read(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (FOLDER / f"{name}.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("name", VERIFIERS)
def test_every_golden_verdict_is_given(name: str) -> None:
    verifier = VERIFIERS[name]
    wrong = [
        (case["completion"], case["answer"], case["score"], verdict)
        for case in read(name)
        if (verdict := judge({"verifier": verifier, **case})).get("score") != case["score"]
    ]
    assert wrong == []


@pytest.mark.parametrize("name", make.SETS)
def test_a_golden_file_is_large_enough_and_what_its_script_writes(name: str) -> None:
    cases = read(name)
    counts = Counter(case["score"] >= 1.0 for case in cases)
    assert min(counts[True], counts[False]) >= 200
    assert (FOLDER / f"{name}.jsonl").stat().st_size < 400_000
    assert (FOLDER / f"{name}.jsonl").read_text() == make.text_of(name)
