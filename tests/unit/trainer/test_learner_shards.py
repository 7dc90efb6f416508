"""One rank of the learner: what it saves, loads and sends, and the same bits each time."""

import shutil
from pathlib import Path

import pytest
import torch
from full_disk import full_disk
from learner_builders import build_model_dir, make_batch, make_settings, names_below
from learner_rank import make_learner
from prorl_trainer.checkpoint.checksum import file_checksum
from prorl_trainer.errors import (
    CheckpointError,
    StorageError,
)
from transformers import AutoModelForCausalLM

BATCH = make_batch()


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_model_dir(tmp_path_factory.mktemp("model"))


@pytest.mark.parametrize("updates_before", [0, 1])
def test_a_saved_run_goes_on_bit_for_bit(
    model_dir: Path, tmp_path: Path, updates_before: int
) -> None:
    straight, saved, loaded = (make_learner(model_dir) for _ in range(3))
    for learner in (straight, saved):
        for _ in range(updates_before):
            learner.update(BATCH, make_settings())
            learner.reset_reference()
    saved.save(str(tmp_path))
    loaded.load(str(tmp_path))
    following = make_batch(seed=7)
    results = [r.update(following, make_settings()) for r in (straight, saved, loaded)]
    assert results[0] == results[1] == results[2]
    assert straight.state_digest() == saved.state_digest() == loaded.state_digest()


def test_the_same_updates_give_the_same_bits(model_dir: Path) -> None:
    a, b = make_learner(model_dir), make_learner(model_dir)
    assert a.update(BATCH, make_settings()) == b.update(BATCH, make_settings())
    assert a.state_digest() == b.state_digest()


def test_the_digest_sees_every_part_of_the_state(model_dir: Path) -> None:
    learner = make_learner(model_dir)
    digests = [learner.state_digest()]
    learner.update(BATCH, make_settings(learning_rate=0.0))
    digests.append(learner.state_digest())  # only the optimizer has changed
    learner.update(BATCH, make_settings())
    digests.append(learner.state_digest())
    learner.reset_reference()
    digests.append(learner.state_digest())
    assert len(set(digests)) == 4


def test_a_reference_that_an_earlier_save_has_written_is_loaded_with_a_later_one(
    model_dir: Path, tmp_path: Path
) -> None:
    learner = make_learner(model_dir)
    learner.update(BATCH, make_settings())
    learner.reset_reference()
    learner.save(str(tmp_path / "first"))
    learner.update(make_batch(seed=2), make_settings())
    learner.stage()
    files = learner.write(str(tmp_path / "second"), reference=False).files
    assert files.keys() == names_below(tmp_path / "second") == {".metadata", "__0_0.distcp"}
    shutil.copytree(tmp_path / "first" / "reference", tmp_path / "second" / "reference")
    loaded = make_learner(model_dir)
    loaded.load(str(tmp_path / "second"))
    assert loaded.state_digest() == learner.state_digest()


@pytest.mark.parametrize("part", ["", "reference"])
@pytest.mark.parametrize("damage", ["missing", "truncated", "no-metadata"])
def test_damaged_shards_are_refused(
    model_dir: Path, tmp_path: Path, damage: str, part: str
) -> None:
    learner = make_learner(model_dir)
    learner.save(str(tmp_path))
    shard = tmp_path / part / "__0_0.distcp"
    if damage == "missing":
        shard.unlink()
    elif damage == "truncated":
        shard.write_bytes(shard.read_bytes()[: shard.stat().st_size // 2])
    else:
        (tmp_path / part / ".metadata").unlink()
    with pytest.raises(CheckpointError, match="cannot be loaded"):
        learner.load(str(tmp_path))


def test_shards_of_another_model_are_refused(model_dir: Path, tmp_path: Path) -> None:
    make_learner(model_dir).save(str(tmp_path / "shards"))
    other = make_learner(build_model_dir(tmp_path / "model", hidden_size=32))
    with pytest.raises(CheckpointError, match="cannot be loaded"):
        other.load(str(tmp_path / "shards"))


@pytest.mark.parametrize("part", ["", "reference"])
def test_shards_that_do_not_answer_are_not_broken_ones(
    model_dir: Path, tmp_path: Path, part: str
) -> None:
    """That would be final: exit code 13."""
    learner = make_learner(model_dir)
    learner.save(str(tmp_path))
    shard = Path(part, "__0_0.distcp")
    (tmp_path / shard).unlink()
    (tmp_path / shard).symlink_to(shard.name)  # open: ELOOP
    with pytest.raises(StorageError, match="cannot be read"):
        learner.load(str(tmp_path))


def test_a_directory_that_cannot_be_made_is_a_storage_error(model_dir: Path) -> None:
    with pytest.raises(StorageError, match="/dev/full"):
        make_learner(model_dir).save("/dev/full/shards")


def test_a_disk_that_is_full_at_any_byte_is_a_storage_error(
    model_dir: Path, tmp_path: Path
) -> None:
    """torch's writer raises RuntimeError instead of OSError where only its buffer's end fails."""
    learner = make_learner(model_dir)
    size = max(size for size, _ in learner.save(str(tmp_path / "whole")).files.values())
    for limit in range(0, size, size // 60):
        with full_disk(limit), pytest.raises(StorageError, match="last checkpoint stands"):
            learner.save(str(tmp_path / f"{limit}"))


def test_files_are_listed_with_size_and_digest(model_dir: Path, tmp_path: Path) -> None:
    shards = make_learner(model_dir).save(str(tmp_path))
    assert shards.files.keys() == names_below(tmp_path)
    assert all(size == (tmp_path / n).stat().st_size for n, (size, _) in shards.files.items())
    assert all(digest == file_checksum(tmp_path / n) for n, (_, digest) in shards.files.items())


@pytest.mark.parametrize("tied", [True, False])
def test_weights_go_out_under_hugging_face_names(tmp_path: Path, tied: bool) -> None:
    directory = build_model_dir(tmp_path, tied=tied)
    learner = make_learner(directory)
    sent = learner.weights()
    told = learner.announce_weights()
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32)
    expected = dict(model.named_parameters())
    assert ("lm_head.weight" in sent) is not tied
    assert list(sent) == told.names == list(expected)
    assert [list(t.shape) for t in sent.values()] == told.shapes
    assert told.dtypes == ["float32"] * len(told.names)
    assert all(torch.equal(sent[name], expected[name]) for name in told.names)
