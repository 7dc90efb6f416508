"""prorl_trainer.data: what is read, and what is refused with which words."""

import json
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from prorl_api.job import ProRLJobSpec
from prorl_api.spec_model import DataSet, Domain
from prorl_trainer.data.gym import UNSAFE, parse_gym, read_gym
from prorl_trainer.data.rows import read_file
from prorl_trainer.data.source import Prompts, encode, verifier_of
from prorl_trainer.errors import DataError
from prorl_trainer.model.tiny import build_tokenizer

SPELL = "gym://reasoning-gym/spell_backward?min_word_len=3&max_word_len=4"


def make_spec(train: str, validation: str | None = None, max_prompt: int = 128) -> ProRLJobSpec:
    data: dict[str, Any] = {"train": [{"name": "train", "domain": "logic", "uri": train}]}
    if validation:
        data["validation"] = {"sets": [{"name": "held", "domain": "logic", "uri": validation}]}
    return ProRLJobSpec.model_validate(
        {
            "model": {"uri": "tiny://llama"},
            "data": data,
            "algorithm": {"sampling": {"maxPromptTokens": max_prompt, "maxResponseTokens": 8}},
        }
    )


def make_file_spec(directory: Path, rows: list[dict[str, Any]]) -> ProRLJobSpec:
    path = directory / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    spec = make_spec(SPELL)
    train = spec.data.train[0].model_copy(update={"uri": f"file://{path}", "domain": Domain.MATH})
    return spec.model_copy(update={"data": spec.data.model_copy(update={"train": [train]})})


def test_reads_jsonl_and_parquet_alike(tmp_path: Path) -> None:
    records = [{"prompt": "1+1", "answer": "2"}, {"prompt": "2+2", "answer": "4"}]
    jsonl, parquet = tmp_path / "a.jsonl", tmp_path / "a.parquet"
    jsonl.write_text("\n".join(map(json.dumps, records)))
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(records), parquet)
    assert list(read_file("a", jsonl)) == list(read_file("a", parquet))
    assert [row.answer for row in read_file("a", jsonl)] == ["2", "4"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(b"", ["a.jsonl has no rows"], id="empty"),
        pytest.param(b'{"prompt": "p"}', ["row 1", "`answer`"], id="no answer"),
        pytest.param(b'{"prompt":"p","answer":"a"}\n{"pro', ["row 2", "not JSON"], id="cut off"),
        pytest.param(b'{"prompt": 7, "answer": "a"}', ["row 1", "`prompt`", "7"], id="number"),
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
        read_file("numbers", path)
    for word in ["Dataset numbers", *words]:
        assert word in str(caught.value)


INSTRUCTIONS = [{"id": "punctuation:no_comma", "kwargs": {}}]


@pytest.mark.parametrize(
    ("verifier", "answer", "taken"),
    [
        ("stem", "5 m", True), ("stem", ["a", 2], True), ("stem", {"accept": "B"}, True),
        ("stem", [], False), ("stem", {"accept": []}, False), ("stem", [""], False),
        ("instruction", INSTRUCTIONS, True), ("instruction", "5", False),
        ("instruction", [], False), ("instruction", [{"kwargs": {}}], False),
        ("math-verify", ["5"], False), ("math-verify", INSTRUCTIONS, False),
    ],
)  # fmt: skip
def test_an_answer_is_what_its_verifier_takes(
    verifier: str, answer: Any, taken: bool, tmp_path: Path
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"prompt": "p", "answer": answer}))
    if taken:
        assert read_file("a", path, verifier)[0].answer == answer
        return
    with pytest.raises(DataError, match=r"row 1, column `answer`: .* must be a"):
        read_file("a", path, verifier)


@pytest.mark.parametrize(
    ("domain", "verifier"),
    [("math", "math-verify"), ("stem", "stem"), ("instruction", "instruction")],
)
def test_rows_of_a_file_have_the_verifier_of_their_domain(domain: str, verifier: str) -> None:
    dataset = DataSet.model_validate({"name": "a", "domain": domain, "uri": "file:///x.jsonl"})
    assert verifier_of(dataset) == verifier
    assert verifier_of(dataset.model_copy(update={"uri": SPELL})) == "reasoning-gym"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nothing\.jsonl does not exist"):
        read_file("a", tmp_path / "nothing.jsonl")


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("gym://reasoning-gym/spell_backwards", ["no dataset", "spell_backward"]),
        ("gym://reasoning-gym/spell_backward?min_word=3", ["min_word", "min_word_len"]),
        ("gym://reasoning-gym/spell_backward?min_word_len=x", ["min_word_len", "'x'", "int"]),
        ("gym://reasoning-gym/spell_backward?size=0", ["size is 0"]),
        *((f"gym://reasoning-gym/{name}", [name, "refused"]) for name in sorted(UNSAFE)),
    ],
)
def test_a_wrong_gym_uri_is_refused_with_close_matches(uri: str, words: list[str]) -> None:
    with pytest.raises(DataError) as caught:
        parse_gym("tasks", uri)
    for word in ["Dataset tasks", *words]:
        assert word in str(caught.value)


def test_options_that_make_no_sense_together_are_refused() -> None:
    uri = "gym://reasoning-gym/spell_backward?min_word_len=9&max_word_len=3"
    with pytest.raises(DataError, match="refuses these options of spell_backward"):
        read_gym("tasks", parse_gym("tasks", uri))


def test_held_out_items_never_occur_in_training() -> None:
    spec = make_spec(f"{SPELL}&size=1000&seed=0", f"{SPELL}&size=100&seed=50000")
    prompts = Prompts(spec, build_tokenizer())
    trained = {prompts.prompt(i).text for i in range(1000)}
    held_out = {p.text for p in prompts.validation()}
    assert held_out
    assert not trained & held_out
    assert all(p.ordinal < 0 for p in prompts.validation())


def test_shifted_seeds_of_one_dataset_are_refused() -> None:
    spec = make_spec(f"{SPELL}&size=100&seed=0", f"{SPELL}&size=100&seed=99")
    with pytest.raises(DataError, match=r"held .*overlaps training set train"):
        Prompts(spec, build_tokenizer())


def test_the_fingerprint_tells_other_rows_and_nothing_else() -> None:
    tokenizer = build_tokenizer()
    first, again, other = (
        Prompts(make_spec(f"{SPELL}&size=50&seed={seed}"), tokenizer).fingerprint
        for seed in (0, 0, 1)
    )
    assert first == again
    assert first != other


def test_a_prompt_over_the_limit_is_refused() -> None:
    prompts = Prompts(make_spec(f"{SPELL}&size=50", max_prompt=10), build_tokenizer())
    with pytest.raises(DataError, match="more than maxPromptTokens 10"):
        prompts.prompt(0)


def test_a_long_row_of_a_file_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    rows = [{"prompt": "1+1", "answer": "2"}, {"prompt": "1+" * 600, "answer": "2"}]
    with pytest.raises(DataError, match=r"row 2 has 1201 prompt tokens, more than maxPromptTokens"):
        Prompts(make_file_spec(tmp_path, rows), build_tokenizer())


def test_a_chat_in_which_nobody_says_anything_is_refused(tmp_path: Path) -> None:
    rows = [{"prompt": [{"role": "user", "content": " "}], "answer": "2"}]
    with pytest.raises(DataError, match=r"row 1, column `prompt`.* of which one is not empty"):
        Prompts(make_file_spec(tmp_path, rows), build_tokenizer())


def test_a_prompt_of_which_the_template_leaves_no_token_is_refused(tmp_path: Path) -> None:
    tokenizer = build_tokenizer()
    tokenizer.chat_template = "{% for m in messages if m['role'] == 'x' %}x{% endfor %}"
    prompts = Prompts(make_file_spec(tmp_path, [{"prompt": "1+1", "answer": "2"}]), tokenizer)
    with pytest.raises(DataError, match="row 1 has no prompt tokens"):
        prompts.prompt(0)


def test_a_text_and_the_same_chat_give_the_same_tokens() -> None:
    tokenizer = build_tokenizer()
    chat = [{"role": "user", "content": "1 + 1"}]
    assert encode(tokenizer, "1 + 1") == encode(tokenizer, chat)


def test_bytes_of_a_parquet_file_are_no_answer(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    records = [{"prompt": "p", "answer": b"\xff"}]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(records), path)
    with pytest.raises(DataError, match=r"row 1, column `answer`: b'\\xff' must be a"):
        read_file("a", path)


def test_a_chat_that_the_template_refuses_is_named_by_its_row(tmp_path: Path) -> None:
    tokenizer = build_tokenizer()
    tokenizer.chat_template = (
        "{% for m in messages %}{% if m['role'] != 'user' %}"
        "{{ raise_exception('no system role') }}{% endif %}{% endfor %}"
    )
    spec = make_file_spec(
        tmp_path, [{"prompt": [{"role": "system", "content": "s"}], "answer": "1"}]
    )
    with pytest.raises(DataError, match="refuses row 1: no system role"):
        Prompts(spec, tokenizer).prompt(0)


def test_more_items_than_can_be_looked_through_are_refused() -> None:
    with pytest.raises(DataError, match=r"size is 10000000000, must be from 1 to 1000000"):
        parse_gym("a", f"{SPELL}&size=10000000000")
