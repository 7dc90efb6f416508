"""One attempt after another writes to a store: a replaced one commits nothing that is loaded."""

from pathlib import Path

import pytest
from checkpoint_builders import commit, latest_step, opened
from prorl_api.spec_lifecycle import Resume
from prorl_trainer.checkpoint.directory import Directory
from prorl_trainer.checkpoint.files import Files
from prorl_trainer.checkpoint.store import CheckpointStore
from prorl_trainer.errors import CheckpointError


def test_a_stale_attempt_can_neither_open_nor_commit(tmp_path):
    old = opened(tmp_path, attempt=1)
    opened(tmp_path, attempt=2)
    with pytest.raises(CheckpointError, match="attempt 2 has taken over"):
        commit(old, 1)
    with pytest.raises(CheckpointError, match="attempt 2 has taken over"):
        opened(tmp_path, attempt=1)


def claim(directory: Path, attempt: int, job_uid: str) -> CheckpointStore:
    store = CheckpointStore(Directory(directory), keep=2)
    assert store.open_for_attempt(attempt, job_uid) == attempt
    return store


def test_a_job_that_was_created_anew_goes_on_where_the_former_one_ended(tmp_path):
    claim(tmp_path, 1, "former")
    former = claim(tmp_path, 3, "former")
    commit(former, 1)
    commit(claim(tmp_path, 1, "anew"), 2)
    commit(claim(tmp_path, 2, "anew"), 3)
    with pytest.raises(CheckpointError, match="has taken over"):
        commit(former, 4)
    for attempt, uid in ((1, "anew"), (4, "former"), (9, "former")):
        with pytest.raises(CheckpointError, match="has taken over"):
            claim(tmp_path, attempt, uid)
    assert latest_step(tmp_path) == 3


def test_a_claim_that_a_crash_has_cut_does_not_lock_the_next_attempt_out(tmp_path):
    claim(tmp_path, 1, "job")
    (tmp_path / "attempt-00000002").write_bytes(b"")
    commit(claim(tmp_path, 3, "job"), 1)


def test_a_step_is_never_overwritten_within_an_attempt(tmp_path):
    store = opened(tmp_path)
    commit(store, 1)
    with pytest.raises(CheckpointError, match="a checkpoint is never overwritten"):
        commit(store, 1)
    assert latest_step(tmp_path) == 1


def test_a_step_of_an_older_attempt_makes_way(tmp_path):
    """The older one committed between our claim of the store and its own look at the claim."""
    old = opened(tmp_path, attempt=1)
    commit(old, 1)
    new = opened(tmp_path, attempt=2)
    commit(new, 1)
    found = opened(tmp_path).load(Resume.LATEST)
    assert found is not None
    assert found.manifest.attempt == 2
    assert len(list(tmp_path.glob("step-00000001.bad-*"))) == 1


def test_what_a_replaced_attempt_committed_after_all_is_not_loaded(tmp_path):
    """It had looked at the claims just before the new attempt made its own."""
    zombie = opened(tmp_path, attempt=1)
    commit(zombie, 1)
    new = opened(tmp_path, attempt=2)
    commit(new, 2)
    late = opened(tmp_path / "elsewhere", attempt=1)
    commit(late, 5)
    (tmp_path / "elsewhere" / "step-00000005").rename(tmp_path / "step-00000005")
    assert latest_step(tmp_path) == 2
    assert len(list(tmp_path.glob("step-00000005.bad-*"))) == 1


def test_a_commit_that_a_claim_overtakes_is_not_acknowledged(tmp_path):
    class Overtaken(Files):
        def rename(self, source, target):
            super().rename(source, target)
            opened(tmp_path, attempt=2)

    old = opened(tmp_path, attempt=1, files=Overtaken())
    with pytest.raises(CheckpointError, match="attempt 2 has taken over"):
        commit(old, 1)
    assert old.last_step is None
