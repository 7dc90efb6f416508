"""Programs with known verdicts, each in a sandbox."""

import json
from pathlib import Path

import pytest
from golden import make
from prorl_verifier.domains.code import CodeScorer
from prorl_verifier.sandbox import detect
from prorl_verifier.sandbox.session import Sandbox

LIMIT_S = 10.0


@pytest.mark.timeout(300)
def test_every_golden_verdict_is_given() -> None:
    lines = (Path(make.__file__).parent / "code.jsonl").read_text().splitlines()
    cases = [json.loads(line) for line in lines]
    with Sandbox(detect.strongest()) as sandbox:
        scorer = CodeScorer(sandbox, LIMIT_S)
        wrong = [
            (case["completion"], case["score"], verdict)
            for case in cases
            if (verdict := scorer.grader(case["answer"], {})(case["completion"]))[0]
            != case["score"]
        ]
    assert wrong == []
