"""A volume that another job has written to, or that is not the one it was."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prorl_api.job import ProRLJobSpec
from prorl_api.spec_lifecycle import Resume
from prorl_trainer.checkpoint.directory import Directory
from prorl_trainer.checkpoint.opening import Checkpoint
from prorl_trainer.checkpoint.store import CheckpointStore
from prorl_trainer.errors import CheckpointError, StorageError
from prorl_trainer.start import same_run
from run_context import SET, make_context
from store_builders import commit, make_state, opened

SPEC = ProRLJobSpec.model_validate({"model": {"uri": "tiny://llama"}, "data": {"train": [SET]}})
THEIRS: dict[str, Any] = {"job_uid": "theirs", "job_name": "sums", "spec_hash": "h-theirs"}


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """Steps 10 and 20 of another job."""
    commit(opened(tmp_path, 1, "theirs"), 10, 20, **THEIRS)
    return tmp_path


def claimed(directory: Path, spec_hash: str, uid: str = "mine") -> CheckpointStore:
    store = CheckpointStore(Directory(directory), keep=2)
    store.open_for_attempt(1, uid, spec_hash)
    return store


def test_a_job_of_another_spec_is_refused_before_it_stops_the_one_that_is_there(
    foreign: Path,
) -> None:
    theirs = opened(foreign, 2, "theirs")
    before = sorted(p.name for p in foreign.iterdir())
    with pytest.raises(
        CheckpointError,
        match=r"step-00000020 was made by job sums \(UID theirs\) with another spec \(h-theirs, "
        r"this job has h-mine\)",
    ):
        claimed(foreign, "h-mine")
    assert sorted(p.name for p in foreign.iterdir()) == before
    commit(theirs, 30, **THEIRS)


def test_the_same_job_made_anew_takes_over_and_the_former_one_cannot_save(foreign: Path) -> None:
    theirs = opened(foreign, 2, "theirs")
    store = claimed(foreign, "h-theirs")
    found = store.load(Resume.LATEST)
    assert found is not None
    assert found.state.step == 20
    with pytest.raises(CheckpointError, match="attempt 3 has taken over"):
        commit(theirs, 30, **THEIRS)


def test_a_broken_checkpoint_of_somebody_does_not_hide_whose_the_volume_is(foreign: Path) -> None:
    (foreign / "step-00000020" / "manifest.json").write_text("{}")
    with pytest.raises(CheckpointError, match="step-00000010 was made by job sums"):
        claimed(foreign, "h-mine")


def test_a_job_that_has_claimed_the_store_is_not_locked_out_by_what_it_found(
    foreign: Path,
) -> None:
    """What it may go on from is decided when it has read its data."""
    opened(foreign, 1, "mine")
    claimed(foreign, "h-mine")


def test_other_rows_are_refused_before_later_checkpoints_are_set_aside(foreign: Path) -> None:
    mine = make_state(0, spec_hash="h-theirs", data_fingerprints={"sums": "b"})

    def accept(checkpoint: Checkpoint) -> None:
        same_run(mine, checkpoint, SPEC)

    with pytest.raises(CheckpointError, match="other rows of data set sums"):
        claimed(foreign, "h-theirs").load(10, accept)
    assert (Directory(foreign).steps(), Directory(foreign).aside()) == ([10, 20], [])


@pytest.mark.parametrize("how", ["emptied", "removed"])
def test_a_run_whose_checkpoints_have_gone_does_not_begin_afresh(tmp_path: Path, how: str) -> None:
    """A file server's directory that is not mounted any more looks like this."""
    store = opened(tmp_path / "q", 1)
    commit(store, 1)
    shutil.rmtree(tmp_path / "q")
    if how == "emptied":
        (tmp_path / "q").mkdir()
    with pytest.raises(StorageError, match=r"checkpoint of step 1 was durable in .* not there"):
        store.load(Resume.LATEST)


def test_an_empty_storage_is_no_first_start_where_a_checkpoint_is_known(tmp_path: Path) -> None:
    """Another claim of the same name, or a disk that was made anew between two attempts."""
    store = CheckpointStore(Directory(tmp_path), keep=2, durable_step=40)
    store.open_for_attempt(3, "mine")
    with pytest.raises(StorageError, match=r"step 40 was durable in .* delete the job"):
        store.load(Resume.LATEST)


def test_an_earlier_checkpoint_than_the_known_one_is_gone_on_from(tmp_path: Path) -> None:
    """The later one may have been set aside since."""
    commit(opened(tmp_path, 1), 1)
    store = CheckpointStore(Directory(tmp_path), keep=2, durable_step=40)
    found = store.load(Resume.LATEST)
    assert found is not None
    assert found.state.step == 1


@pytest.mark.parametrize("name", ["one", "other"])
def test_jobs_of_one_bucket_have_places_of_their_own(tmp_path: Path, name: str) -> None:
    storage = SPEC.checkpoint.storage.model_copy(update={"uri": "s3://bucket/prefix"})
    checkpoint = SPEC.checkpoint.model_copy(update={"storage": storage})
    context = make_context(tmp_path, SPEC.model_copy(update={"checkpoint": checkpoint}))
    job = context.job.model_copy(update={"name": name})
    pod = replace(context, local=False, job=job)
    assert pod.bucket == f"s3://bucket/prefix/{name}/checkpoints"
