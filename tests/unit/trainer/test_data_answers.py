"""prorl_trainer.data.answers: what each verifier takes, and what is refused by its row."""

import datetime
import json
from pathlib import Path
from typing import Any

import pytest
from data_builders import make_set, write_rows
from prorl_trainer.data.rows import Rows, read_files
from prorl_trainer.errors import DataError


def read(path: Path, verifier: str, **fields: Any) -> Rows:
    return read_files(make_set(f"file://{path}", **fields), verifier, [path])


INSTRUCTIONS = [{"id": "punctuation:no_comma", "kwargs": {}}]
PROGRAM = {"tests": [{"input": "1 2", "output": "3"}]}
FUNCTION = {"function": "add", "tests": [{"args": [1, {"a": None}], "expected": None}]}


@pytest.mark.parametrize(
    ("verifier", "answer", "taken"),
    [
        ("stem", "5 m", True), ("stem", ["a", 2], True), ("stem", {"accept": "B"}, True),
        ("stem", {"accept": "5 m", "kind": "number", "tolerance": 0.1}, True),
        ("stem", {"accept": "5", "unit": "m"}, False),
        ("stem", {"accept": "5", "kind": "x"}, False),
        ("stem", {"accept": "5", "tolerance": 1}, False),
        ("instruction", INSTRUCTIONS * 101, False), ("instruction", [{"id": "x", "n": 1}], False),
        ("stem", [], False), ("stem", {"accept": []}, False), ("stem", [""], False),
        ("instruction", INSTRUCTIONS, True), ("instruction", "5", False),
        ("instruction", [], False), ("instruction", [{"kwargs": {}}], False),
        ("math-verify", ["5"], False), ("math-verify", INSTRUCTIONS, False),
        ("code", PROGRAM, True), ("code", FUNCTION, True), ("code", {"tests": []}, False),
        ("code", {"tests": [{"input": "1", "output": 3}]}, False),
        ("code", {"function": "add", **PROGRAM}, False), ("code", {"function": "a b"}, False),
        ("code", {"tests": FUNCTION["tests"]}, False), ("code", "print(3)", False),
        ("own", "[1]", True), ("own", {"a": [1, None]}, True), ("own", 0, True), ("own", "", True),
        ("own", False, True), ("own", None, False), ("own", ["\ud800"], False),
        ("code", {"fn_name": "f", "inputs": ["1"], "outputs": ["1"]}, False),
        ("code", {"inputs": ["1", "2"], "outputs": ["1"]}, False),
        ("code", {**PROGRAM, "language": "c"}, False),
        ("code", {"tests": PROGRAM["tests"] * 256}, True),
        ("code", {"tests": PROGRAM["tests"] * 257}, False),
        ("code", {"tests": [{"input": "x" * (2**20 + 1), "output": ""}]}, False),
        ("code", {"tests": [{"input": "\ud800", "output": ""}]}, False),
        ("math-verify", "\ud800", False),
    ],
)  # fmt: skip
def test_an_answer_is_what_its_verifier_takes(
    verifier: str, answer: Any, taken: bool, tmp_path: Path
) -> None:
    path = write_rows(tmp_path / "a.jsonl", [{"prompt": "p", "answer": answer}])
    if taken:
        assert read(path, verifier)[0].answer == answer
        return
    with pytest.raises(DataError, match=r"row 1, column `answer`: .* must be a"):
        read(path, verifier)


@pytest.mark.parametrize(
    ("verifier", "answer"),
    [("code", PROGRAM), ("code", FUNCTION), ("instruction", INSTRUCTIONS)],
)
def test_answers_with_arguments_may_be_json_text(
    verifier: str, answer: Any, tmp_path: Path
) -> None:
    rows = [{"prompt": "p", "answer": json.dumps(answer)}]
    assert read(write_rows(tmp_path / "a.parquet", rows), verifier)[0].answer == answer
    bad = write_rows(tmp_path / "b.jsonl", [{"prompt": "p", "answer": '{"tests": [NaN]}'}])
    with pytest.raises(DataError, match=r"column `answer`: .*NaN is not a finite number"):
        read(bad, verifier)


def test_the_two_lists_of_public_code_sets_become_tests(tmp_path: Path) -> None:
    lists = {"inputs": ["1 2", "3 4"], "outputs": ["3", "7"], "fn_name": None}
    rows = [{"prompt": "p", "reward_model": {"ground_truth": json.dumps(lists)}}]
    path = write_rows(tmp_path / "a.parquet", rows)
    assert read(path, "code", layout="verl")[0].answer == {
        "tests": [{"input": "1 2", "output": "3"}, {"input": "3 4", "output": "7"}]
    }


def test_what_cannot_be_sent_as_json_is_no_answer(tmp_path: Path) -> None:
    dated = [{"id": "x", "kwargs": {"at": datetime.date(2026, 1, 1)}}]
    path = write_rows(tmp_path / "a.parquet", [{"prompt": "p", "answer": dated}])
    with pytest.raises(DataError, match=r"row 1, column `answer`: .*datetime\.date.* must be"):
        read(path, "instruction")
    deep = '[{"id": "x", "kwargs": {"at": ' + "[" * 300 + "]" * 300 + "}}]"
    (tmp_path / "b.jsonl").write_text(f'{{"prompt": "p", "answer": {deep}}}')
    with pytest.raises(DataError, match="row 1, column `answer`"):
        read(tmp_path / "b.jsonl", "instruction")
