"""Rows as other trainers have them: TRL's reward function reads the column that layout trl reads,
and the two give the same verdicts."""

import inspect
from pathlib import Path

from data_builders import make_set, write_rows
from judging import score
from prorl_api.spec_model import Layout
from prorl_trainer.data.rows import LAYOUTS, read_files
from prorl_verifier.domains import math
from trl.rewards import accuracy_reward

SOLUTIONS = [r"\frac{1}{3}", r"$\frac{1}{3}$", r"So it is \boxed{\frac{1}{3}}."]
COMPLETIONS = [r"My answer is \boxed{\frac{1}{3}}", r"My answer is \boxed{\frac{1}{2}}"]


def test_the_answer_of_layout_trl_is_what_trl_rewards_by() -> None:
    prompt, answer = LAYOUTS[Layout.TRL]
    assert prompt == "prompt"
    assert answer in inspect.signature(accuracy_reward).parameters


def test_a_row_of_layout_trl_is_judged_as_trl_judges_it(tmp_path: Path) -> None:
    ask = [{"role": "user", "content": "1/3?"}]
    records = [{"prompt": ask, "solution": solution} for solution in SOLUTIONS]
    path = write_rows(tmp_path / "a.jsonl", records)
    rows = read_files(make_set(f"file://{path}", layout="trl"), "math-verify", [path])
    for row in rows:
        theirs = accuracy_reward(
            [[{"role": "assistant", "content": text}] for text in COMPLETIONS],
            [row.answer] * len(COMPLETIONS),
        )
        assert (
            [score(math, text, row.answer, {})[0] for text in COMPLETIONS] == theirs == [1.0, 0.0]
        )
