"""The leakage guard, repeated rows, small sets and fingerprints."""

import json
import logging
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from data_builders import ROWS, SPELL, make_prompts, make_set, make_spec, write_rows
from prorl_api.job import ProRLJobSpec
from prorl_trainer.data.order import BLOCK
from prorl_trainer.errors import DataError

LEAK = {"prompt": [{"role": "user", "content": " 2  + 2\n"}], "answer": "4"}
OTHER = {"prompt": "3 + 3", "answer": "6"}
THIRD = {"prompt": "4 + 4", "answer": "8"}


def spec_of(directory: Path, train: list[Any], held_out: list[Any], **data: Any) -> ProRLJobSpec:
    """Rows in two formats; the validation set is a chat of the same questions."""
    parquet = write_rows(directory / "train.parquet", train)
    jsonl = write_rows(directory / "held.jsonl", held_out)
    return make_spec(
        [make_set(f"file://{parquet}", name="train")],
        [make_set(f"file://{jsonl}", name="held")],
        **data,
    )


def test_a_held_out_row_that_is_trained_on_is_refused_with_both_places(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, ROWS, [OTHER, LEAK])
    with pytest.raises(DataError) as caught:
        make_prompts(spec, tmp_path)
    assert str(caught.value).startswith(
        "Validation set held: 1 of 2 prompts also occur in training"
    )
    assert "held.jsonl row 2, is train.parquet row 2 of set train" in str(caught.value)


def test_on_overlap_drop_leaves_it_out_of_validation_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spec = spec_of(tmp_path, ROWS, [OTHER, LEAK, THIRD], onOverlap="Drop")
    with caplog.at_level(logging.WARNING):
        prompts = make_prompts(spec, tmp_path)
    assert [(p.text, p.ordinal) for p in prompts.validation()] == [("3 + 3", -1), ("4 + 4", -3)]
    assert {prompts.prompt(i).text for i in range(2)} == {"1 + 1", "2 + 2"}
    assert "set=held left_out=1 of=3" in caplog.text


def test_a_validation_set_of_which_nothing_is_left_is_refused(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, ROWS, [LEAK], onOverlap="Drop")
    with pytest.raises(DataError, match="held: all 1 prompts also occur in training"):
        make_prompts(spec, tmp_path)


def test_a_file_may_not_repeat_what_a_generator_makes(tmp_path: Path) -> None:
    generated = make_set(f"{SPELL}&size=5", name="train")
    question = make_prompts(make_spec([generated]), tmp_path).prompt(0).text
    path = write_rows(tmp_path / "held.jsonl", [{"prompt": question, "answer": "x"}])
    spec = make_spec([generated], [make_set(f"file://{path}", name="held")])
    with pytest.raises(DataError, match=r"held\.jsonl row 1, is item \d of set train"):
        make_prompts(spec, tmp_path)


def test_generated_held_out_items_never_occur_in_training(tmp_path: Path) -> None:
    train = make_set(f"{SPELL}&size=1000&seed=0", name="train")
    held_out = make_set(f"{SPELL}&size=100&seed=50000", name="held")
    prompts = make_prompts(make_spec([train], [held_out]), tmp_path)
    trained = {prompts.prompt(i).text for i in range(1000)}
    kept = {p.text for p in prompts.validation()}
    assert 0 < len(kept) < 100  # words of three and four letters meet by chance
    assert not trained & kept


@pytest.mark.parametrize(("seed", "refused"), [(99, True), (0, True), (100, False)])
def test_shifted_seeds_of_one_generator_are_refused(
    seed: int, refused: bool, tmp_path: Path
) -> None:
    train = make_set("gym://reasoning-gym/knights_knaves?size=100&seed=0", name="train")
    held = make_set(f"gym://reasoning-gym/knights_knaves?size=20&seed={seed}", name="held")
    spec = make_spec([train], [held], max_prompt=2000)
    if not refused:
        assert make_prompts(spec, tmp_path).validation()
        return
    with pytest.raises(DataError, match=r"held .*overlaps training set train .*space the seeds"):
        make_prompts(spec, tmp_path)


def test_a_later_start_does_not_look_through_the_rows_again(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, ROWS, [OTHER, LEAK, THIRD], onOverlap="Drop")
    first = make_prompts(spec, tmp_path)
    (kept,) = (tmp_path / "data").glob("leaks-*.json")
    written = kept.stat().st_mtime_ns
    assert make_prompts(spec, tmp_path).validation() == first.validation()
    assert kept.stat().st_mtime_ns == written
    kept.write_bytes(b"[cut sho")
    assert make_prompts(spec, tmp_path).validation() == first.validation()
    write_rows(tmp_path / "train.parquet", [*ROWS, OTHER])
    assert [p.text for p in make_prompts(spec, tmp_path).validation()] == ["4 + 4"]


DOMAINS = {
    "math": (3, "5"),
    "code": (2, {"tests": [{"input": "", "output": "5"}]}),
    "stem": (1, {"accept": "5 m"}),
    "logic": (1, None),
    "instruction": (0.5, [{"id": "punctuation:no_comma", "kwargs": {}}]),
}


def test_all_five_domains_are_mixed_by_their_weights(tmp_path: Path) -> None:
    sets = []
    for domain, (weight, answer) in DOMAINS.items():
        rows = [{"prompt": f"{domain} {i}", "answer": answer} for i in range(3 + int(10 * weight))]
        uri = f"{SPELL}&size=7"
        if answer is not None:
            uri = f"file://{write_rows(tmp_path / f'{domain}.jsonl', rows)}"
        sets.append(make_set(uri, name=domain, domain=domain, weight=weight))
    prompts = make_prompts(make_spec(sets), tmp_path)
    for block in (0, 5):
        drawn = [prompts.prompt(block * BLOCK + i) for i in range(BLOCK)]
        assert Counter(p.domain for p in drawn) == {
            "math": 102, "code": 69, "stem": 34, "logic": 34, "instruction": 17,
        }  # fmt: skip
    assert {(p.domain, p.verifier) for p in drawn} == {
        ("math", "math-verify"), ("code", "code"), ("stem", "stem"), ("logic", "reasoning-gym"),
        ("instruction", "instruction"),
    }  # fmt: skip


def test_repeated_rows_are_counted_and_so_are_contradictions(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [*ROWS, ROWS[0], {"prompt": "2 + 2 ", "answer": "5"}]
    path = write_rows(tmp_path / "a.jsonl", rows)
    with caplog.at_level(logging.WARNING):
        make_prompts(make_spec([make_set(f"file://{path}")]), tmp_path)
    assert "set=a repeated_rows=2 of=4, with_another_answer=1" in caplog.text


@pytest.mark.parametrize(("steps", "warned"), [(2, False), (3, True)])
def test_a_generated_set_smaller_than_the_run_is_told_the_size_it_needs(
    steps: int, warned: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    algorithm = {"steps": steps, "promptsPerStep": 20}
    sets = [make_set(f"{SPELL}&size=20"), make_set(f"{SPELL}&size=90&seed=500", name="b")]
    with caplog.at_level(logging.WARNING):
        make_prompts(make_spec(sets, algorithm=algorithm), tmp_path)
    assert (
        "set=a: its 20 items are drawn 1.5 times each; size=30 repeats none" in caplog.text
    ) == warned
    assert "set=b" not in caplog.text


def fingerprints(tmp_path: Path, *uris: str) -> dict[str, str]:
    sets = [make_set(uri, name=f"s{i}") for i, uri in enumerate(uris)]
    return make_prompts(make_spec(sets), tmp_path).fingerprints


def test_one_changed_row_of_thousands_changes_the_sets_fingerprint(tmp_path: Path) -> None:
    rows = [{"prompt": f"{i} + 1", "answer": str(i + 1)} for i in range(2000)]
    path = write_rows(tmp_path / "a.jsonl", rows)
    uris = f"file://{path}", f"{SPELL}&size=50"
    before = fingerprints(tmp_path, *uris)
    assert fingerprints(tmp_path, *uris) == before
    rows[1301]["answer"] = "1303"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    after = fingerprints(tmp_path, *uris)
    assert after["s0"] != before["s0"]
    assert after["s1"] == before["s1"]


@pytest.mark.parametrize("change", ["&seed=1", "&size=51", "&max_word_len=5"])
def test_other_options_of_a_generator_are_other_rows(change: str, tmp_path: Path) -> None:
    uri = "gym://reasoning-gym/spell_backward?min_word_len=3"
    assert fingerprints(tmp_path, f"{uri}{change}") != fingerprints(tmp_path, uri)
