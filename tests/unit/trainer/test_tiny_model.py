"""prorl_trainer.model: what is built, reused and refused."""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from full_disk import full_disk
from prorl_api.job import ProRLJobSpec
from prorl_trainer.data.cache import DataCache
from prorl_trainer.errors import ModelError, StorageError
from prorl_trainer.model.materialise import check_model, materialise
from prorl_trainer.model.tiny import build_tokenizer, parse_tiny
from transformers import AutoTokenizer

SPELL = "gym://reasoning-gym/spell_backward?size=40&min_word_len=3&max_word_len=4"


def make_spec(uri: str = "tiny://llama?warmupSteps=3&warmupBatch=4") -> ProRLJobSpec:
    train = [{"name": "train", "domain": "logic", "uri": SPELL}]
    return ProRLJobSpec.model_validate({"model": {"uri": uri}, "data": {"train": train}})


def build(directory: Path, spec: ProRLJobSpec | None = None) -> Path:
    return materialise(
        spec or make_spec(), directory, DataCache(directory / "data", lambda _: None)
    )


def digest(directory: Path) -> str:
    return hashlib.sha256((directory / "model.safetensors").read_bytes()).hexdigest()


def test_two_builds_give_the_same_bytes(tmp_path: Path) -> None:
    assert digest(build(tmp_path / "a")) == digest(build(tmp_path / "b"))


def test_a_second_start_reuses_the_model(tmp_path: Path) -> None:
    first = build(tmp_path)
    before = (first / "model.safetensors").stat().st_mtime_ns
    assert build(tmp_path) == first
    assert (first / "model.safetensors").stat().st_mtime_ns == before


def test_racing_builds_leave_one_whole_model(tmp_path: Path) -> None:
    with ThreadPoolExecutor(3) as threads:
        found = set(threads.map(lambda _: build(tmp_path), range(3)))
    assert len(found) == 1
    assert [p.name for p in tmp_path.iterdir()] == [found.pop().name]


def test_the_saved_tokenizer_round_trips_and_knows_the_instruction(tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(build(tmp_path), local_files_only=True)
    text = "Spell this word backward (example: sun -> nus): gunl"
    ids = tokenizer.encode(text)
    assert len(ids) == 6
    assert tokenizer.decode(ids) == text
    plain = build_tokenizer()
    assert plain.decode(plain.encode("a B\n9?")) == "a B\n9?"


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("tiny://gpt", ["'gpt'", "llama"]),
        ("tiny://llama?warmup=3", ["warmup"]),
        ("tiny://llama?layers=0", ["layers"]),
        ("tiny://llama?wrongShare=1", ["wrongShare"]),
        ("tiny://llama?warmupSteps=-1", ["warmupSteps", "greater than or equal to 0"]),
        ("tiny://llama?layers=1000000", ["layers", "less than or equal to 64"]),
        ("tiny://llama?seed=1e30", ["seed"]),
        ("tiny://llama?heads=5", ["heads 5", "hidden 64"]),
        ("tiny://llama?hidden=96&heads=6&hidden=48", ["hidden is given twice"]),
    ],
)
def test_a_wrong_tiny_uri_is_refused_by_option(uri: str, words: list[str]) -> None:
    with pytest.raises(ModelError) as caught:
        parse_tiny(uri)
    for word in words:
        assert word in str(caught.value)


def test_a_directory_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"does not exist"):
        check_model(tmp_path / "nothing")
    with pytest.raises(ModelError, match=r"no config\.json"):
        check_model(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(ModelError, match=r"no \*\.safetensors"):
        check_model(tmp_path)


def test_a_model_with_code_of_its_own_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"auto_map": {"AutoModel": "x.Y"}}))
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(ModelError, match="auto_map"):
        check_model(tmp_path)


def test_a_cache_that_cannot_be_made_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"cannot be written to .*Not a directory"):
        build(tmp_path / "file")


def test_a_disk_that_fills_while_a_model_is_saved_is_a_storage_error(tmp_path: Path) -> None:
    message = r"tiny model cannot be written to .*too large"
    with full_disk(50_000), pytest.raises(StorageError, match=message):
        build(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_unreachable_hub_is_a_model_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match="hf://nobody/nothing cannot be downloaded"):
        build(tmp_path, make_spec("hf://nobody/nothing"))
    assert not [p for p in tmp_path.rglob("*") if ".tmp-" in p.name]
