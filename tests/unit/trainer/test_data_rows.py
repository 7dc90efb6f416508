"""prorl_trainer.data: which rows are read, and which are refused with which words."""

import datetime
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from data_builders import ROWS, SPELL, make_prompts, make_set, make_spec, write_rows
from prorl_trainer.data.rows import Rows, read_files
from prorl_trainer.data.sets import verifier_of
from prorl_trainer.errors import DataError
from prorl_trainer.model.tiny import build_tokenizer


def read(path: Path, verifier: str = "math-verify", **fields: Any) -> Rows:
    return read_files(make_set(f"file://{path}", **fields), verifier, [path])


def test_reads_jsonl_and_parquet_alike(tmp_path: Path) -> None:
    jsonl, parquet = (write_rows(tmp_path / name, ROWS) for name in ("a.jsonl", "a.parquet"))
    assert list(read(jsonl)) == list(read(parquet))
    assert [row.answer for row in read(jsonl)] == ["2", "4"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(b"", ["a.jsonl has no rows"], id="empty"),
        pytest.param(b"\n \n", ["a.jsonl has no rows"], id="blank lines"),
        pytest.param(b'{"prompt": "p"}', ["row 1", "`answer`"], id="no answer"),
        pytest.param(b'\n{"prompt":"p"}', ["row 2", "`answer`"], id="counts blank lines"),
        pytest.param(b'{"prompt":"p","answers":"a"}', ["did you mean answers"], id="close match"),
        pytest.param(b'{"prompt":"p","xy":"a"}', ["there are: prompt, xy"], id="no match"),
        pytest.param(b'{"prompt":"p","answer":"a"}\n{"pro', ["row 2", "not JSON"], id="cut off"),
        pytest.param(b'{"prompt": 7, "answer": "a"}', ["row 1", "`prompt`", "7"], id="number"),
        pytest.param(b'{"prompt": null, "answer": "a"}', ["`prompt`", "None"], id="null"),
        pytest.param(
            b'{"prompt":"\\ud800","answer":"a"}', ["`prompt`", "surrogate"], id="half a pair"
        ),
        pytest.param(b'{"prompt": "p", "answer": NaN}', ["row 1", "NaN"], id="not a number"),
        pytest.param(b"[" * 100_000, ["row 1", "not JSON"], id="nested too deeply"),
        pytest.param(b'{"prompt":"p","answer":{"a":1}}', ["row 1", "`answer`"], id="an object"),
        pytest.param(
            b'{"prompt":"p","answer":true}', ["row 1", "`answer`", "True"], id="a boolean"
        ),
        pytest.param(b'{"prompt":"p","answer":" "}', ["row 1", "`answer`"], id="blank"),
        pytest.param(b'["p", "a"]', ["row 1", "object"], id="a list"),
        pytest.param(b'{"prompt": "\xff", "answer": "a"}', ["UTF-8"], id="latin-1"),
        pytest.param(b'{"prompt":"p","prompt":"q","answer":"a"}', ["row 1", "prompt"], id="twice"),
    ],
)
def test_a_malformed_file_is_refused_by_set_row_and_column(
    content: bytes, words: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read(path, name="numbers")
    for word in ["Dataset numbers", *words]:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("records", "words"),
    [
        ([{"prompt": "p", "answer": b"\xff"}], r"row 1, column `answer`: b'\\xff' must be a"),
        (
            [{"prompt": "p", "answer": 1.0}, {"prompt": "q", "answer": float("nan")}],
            r"row 2, column `answer`: nan must be a non-empty text or a finite number",
        ),
        ([{"prompt": "p", "answr": 1}], r"has no column `answer`; did you mean answr"),
        ([{"prompt": "p", "answer": None}], r"row 1, column `answer`: None must be"),
    ],
)
def test_what_a_parquet_file_may_hold_but_no_answer_may_be_is_refused(
    records: list[Any], words: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=words):
        read(write_rows(tmp_path / "a.parquet", records))


def test_what_is_no_parquet_file_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(b"PAR1 and no more")
    with pytest.raises(DataError, match=r"a\.parquet is no readable parquet file"):
        read(path)
    pyarrow.parquet.write_table(pyarrow.table({"prompt": [], "answer": []}), path)
    with pytest.raises(DataError, match=r"a\.parquet has no rows"):
        read(path)


def test_a_missing_file_and_an_unknown_kind_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nothing\.jsonl does not exist"):
        read(tmp_path / "nothing.jsonl")
    with pytest.raises(DataError, match=r"a\.csv must end in \.jsonl or \.parquet"):
        read(tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("domain", "verifier"),
    [("math", "math-verify"), ("stem", "stem"), ("instruction", "instruction"), ("code", "code")],
)
def test_rows_of_a_file_have_the_verifier_of_their_domain(domain: str, verifier: str) -> None:
    assert verifier_of(make_set("file:///x.jsonl", domain=domain)) == verifier
    assert verifier_of(make_set(SPELL, domain=domain)) == "reasoning-gym"


VERL = {
    "data_source": "math",
    "prompt": [{"role": "user", "content": "1 + 1"}],
    "ability": "math",
    "reward_model": {"style": "rule", "ground_truth": "2"},
    "extra_info": {"index": 0, "split": "train"},
}
TRL = {"prompt": [{"role": "user", "content": "1 + 1"}], "solution": "2"}
OWN = {"q.": 0, "task": {"question text": "1 + 1"}, "gold": "2"}


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
@pytest.mark.parametrize(
    ("record", "fields"),
    [
        pytest.param(ROWS[0], {}, id="prorl"),
        pytest.param(VERL, {"layout": "verl"}, id="verl"),
        pytest.param(TRL, {"layout": "trl"}, id="trl"),
        pytest.param(TRL | {"prompt": "1 + 1"}, {"layout": "trl"}, id="trl text"),
        pytest.param(
            OWN, {"columns": {"prompt": "task.question text", "answer": "gold"}}, id="own columns"
        ),
        pytest.param(
            VERL | {"label": "2"}, {"layout": "verl", "columns": {"answer": "label"}}, id="one own"
        ),
    ],
)
def test_every_layout_gives_the_same_row(
    record: Any, fields: dict[str, Any], suffix: str, tmp_path: Path
) -> None:
    (row,) = read(write_rows(tmp_path / f"a.{suffix}", [record]), **fields)
    assert row.prompt == [{"role": "user", "content": "1 + 1"}]
    assert row.answer == "2"


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_the_columns_of_meta_come_with_the_row_and_no_others(suffix: str, tmp_path: Path) -> None:
    path = write_rows(tmp_path / f"a.{suffix}", [VERL])
    columns = {"meta": ["data_source", "extra_info"]}
    (row,) = read(path, "own", layout="verl", columns=columns)
    assert row.meta == {"data_source": "math", "extra_info": {"index": 0, "split": "train"}}
    (plain,) = read(path, layout="verl")
    assert plain.meta == {}
    with pytest.raises(DataError, match="no column `extra_inf`; did you mean extra_info"):
        read(path, "own", layout="verl", columns={"meta": ["extra_inf"]})


def test_a_column_of_meta_that_cannot_be_sent_is_refused_by_name(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "a.parquet", [ROWS[0] | {"when": datetime.date(2026, 1, 1)}])
    with pytest.raises(DataError, match=r"row 1, column `when`: .*2026.* must be a JSON value"):
        read(path, "own", columns={"meta": ["when"]})


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (
            VERL | {"reward_model": {"groundtruth": "2"}},
            "`reward_model.ground_truth`; did you mean",
        ),
        (VERL | {"reward_model": "{}"}, "column `reward_model`: '{}' must be an object with"),
        (ROWS[0], "has no column `reward_model`"),
        (VERL | {"prompt": []}, "column `prompt`: [] must be a non-empty text or a list"),
    ],
)
def test_what_a_layout_misses_is_named_by_its_path(record: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read(write_rows(tmp_path / "a.jsonl", [record]), layout="verl")
    assert "a.jsonl row 1" in str(caught.value)
    assert words in str(caught.value)


def test_only_the_columns_of_the_set_are_read_from_a_parquet_file(tmp_path: Path) -> None:
    """The types of the others may be anything, such as a map, that rows cannot hold."""
    table = pyarrow.table(
        {
            "prompt": ["1 + 1"],
            "answer": ["2"],
            "other": pyarrow.array([[("k", 1)]], pyarrow.map_(pyarrow.string(), pyarrow.int64())),
        }
    )
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet")[0].answer == "2"


def test_a_prompt_over_the_limit_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    rows = [{"prompt": "1+1", "answer": "2"}, {"prompt": "1+" * 600, "answer": "2"}]
    path = write_rows(tmp_path / "a.jsonl", rows)
    with pytest.raises(DataError, match=r"row 2 has 1201 prompt tokens, more than maxPromptTokens"):
        make_prompts(make_spec([make_set(f"file://{path}")]), tmp_path)
    with pytest.raises(DataError, match=r"item 0 has .* more than maxPromptTokens 10"):
        make_prompts(make_spec([make_set(f"{SPELL}&size=50")], max_prompt=10), tmp_path)


def test_a_prompt_of_which_the_template_leaves_no_token_is_refused(tmp_path: Path) -> None:
    tokenizer = build_tokenizer()
    tokenizer.chat_template = "{% for m in messages if m['role'] == 'x' %}x{% endfor %}"
    spec = make_spec([make_set(f"file://{write_rows(tmp_path / 'a.jsonl', ROWS)}")])
    with pytest.raises(DataError, match="row 1 has no prompt tokens"):
        make_prompts(spec, tmp_path, tokenizer)
