"""Checkpoints that are damaged or cannot be read are set aside, refused or left: never loaded."""

import shutil
from pathlib import Path

import pytest
from checkpoint_builders import SHARD, commit, latest_step, make_state, opened
from hypothesis import given, settings
from hypothesis import strategies as st
from prorl_api.spec_lifecycle import Resume
from prorl_trainer.checkpoint.manifest import FileEntry, Manifest
from prorl_trainer.errors import CheckpointError, StorageError


@pytest.fixture(scope="module")
def two_steps(tmp_path_factory) -> Path:
    """A store with checkpoints of steps 1 and 2, to be copied."""
    directory = tmp_path_factory.mktemp("two-steps")
    store = opened(directory)
    commit(store, 1)
    commit(store, 2)
    return directory


def _corruptions():
    for name in ("manifest.json", "state.json", "shards/__0_0.distcp"):
        for how in ("truncate", "flip", "remove", "empty"):
            for position in (0, 3, 40):
                yield name, how, position


@pytest.mark.parametrize(("name", "how", "position"), list(_corruptions()))
def test_a_corrupt_checkpoint_is_quarantined_and_the_one_before_is_used(
    tmp_path, two_steps, name, how, position
):
    shutil.copytree(two_steps, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "step-00000002" / name
    data = bytearray(path.read_bytes())
    if how == "remove":
        path.unlink()
    else:
        data[position] ^= 0x10
        path.write_bytes({"truncate": data[:position], "flip": data, "empty": b""}[how])
    assert latest_step(tmp_path) == 1
    assert len(list(tmp_path.glob("step-00000002.bad-*"))) == 1


def test_when_all_are_corrupt_a_fresh_start_is_refused(tmp_path):
    commit(opened(tmp_path), 1)
    (tmp_path / "step-00000001" / "state.json").unlink()
    for _ in range(2):  # also when the broken one is quarantined already
        with pytest.raises(CheckpointError, match="None of the checkpoints"):
            opened(tmp_path).load(Resume.LATEST)


@settings(max_examples=120, deadline=None)
@given(data=st.data())
def test_no_changed_byte_is_ever_loaded(tmp_path_factory, two_steps, data):
    directory = tmp_path_factory.mktemp("store") / "copy"
    shutil.copytree(two_steps, directory)
    newest = directory / "step-00000002"
    files = sorted(p for p in newest.rglob("*") if p.is_file())
    path = data.draw(st.sampled_from(files))
    content = bytearray(path.read_bytes())
    position = data.draw(st.integers(0, len(content) - 1))
    content[position] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    found = opened(directory).load(Resume.LATEST)
    assert found is not None
    assert found.state == make_state(1)
    assert Path(found.shards, "__0_0.distcp").read_bytes() == SHARD
    assert not newest.exists()
    shutil.rmtree(directory)


def test_a_checkpoint_under_the_name_of_another_step_is_quarantined(tmp_path):
    store = opened(tmp_path)
    commit(store, 1)
    commit(store, 2)
    (tmp_path / "step-00000002").rename(tmp_path / "step-00000007")
    assert latest_step(tmp_path) == 1


class OtherManifest(Manifest):
    step: int = 1
    attempt: int = 1
    job_uid: str = "job"
    created: float = 0.0
    files: dict[str, FileEntry] = {}
    shape: str = "unknown"


def test_a_bit_that_flips_in_its_version_does_not_make_it_a_newer_ones(tmp_path):
    for step in (1, 2):
        commit(opened(tmp_path), step)
    manifest = tmp_path / "step-00000002" / "manifest.json"
    text = manifest.read_text()
    assert '"schemaVersion":2' in text
    manifest.write_text(text.replace('"schemaVersion":2', '"schemaVersion":3'))
    assert latest_step(tmp_path) == 1


@pytest.mark.parametrize(("version", "age"), [(3, "a newer"), (1, "an older")])
def test_what_another_version_wrote_is_refused_and_left_alone(tmp_path, version, age):
    commit(opened(tmp_path), 1)
    manifest = tmp_path / "step-00000001" / "manifest.json"
    manifest.write_bytes(OtherManifest(schema_version=version).encode())
    with pytest.raises(CheckpointError, match=f"written by {age} version"):
        opened(tmp_path).load(Resume.LATEST)
    assert manifest.exists()


def test_a_checkpoint_that_cannot_be_read_is_left_alone(tmp_path):
    commit(opened(tmp_path), 1)
    manifest = tmp_path / "step-00000001" / "manifest.json"
    manifest.unlink()
    manifest.symlink_to(manifest)  # open: ELOOP
    with pytest.raises(StorageError, match=r"step-00000001 cannot be read"):
        opened(tmp_path).load(Resume.LATEST)
    assert manifest.parent.exists()
