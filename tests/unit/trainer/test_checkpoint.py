"""The commit protocol under crashes and corruption: the previous or the new one, never neither."""

import asyncio
import errno
import hashlib
from pathlib import Path

import pytest
from prorl_api.spec_lifecycle import Resume
from prorl_trainer.checkpoint.files import Files
from prorl_trainer.checkpoint.state import RunState
from prorl_trainer.checkpoint.store import CheckpointStore
from prorl_trainer.errors import CheckpointError, StorageError
from prorl_trainer.types import ShardFiles

SHARD = b"weights" * 100


class Crash(BaseException):
    """The process is gone: nothing after it runs."""


class FailingFiles(Files):
    """Fails at the n-th operation, before or after it took effect."""

    def __init__(self, at: int, error: BaseException, *, after: bool = False) -> None:
        self.left, self.error, self.after = at, error, after

    def _do(self, name, *args):
        self.left -= 1
        if self.left == 0 and not self.after:
            raise self.error
        getattr(super(), name)(*args)
        if self.left == 0:
            raise self.error

    def make_directory(self, path):
        self._do("make_directory", path)

    def write(self, path, data):
        self._do("write", path, data)

    def sync(self, path):
        self._do("sync", path)

    def rename(self, source, target):
        self._do("rename", source, target)

    def remove_tree(self, path):
        self._do("remove_tree", path)


def make_state(step: int) -> RunState:
    return RunState(job_uid="u", job_name="j", spec_hash="h", data_fingerprint="d", step=step)


async def write_shards(directory: Path) -> ShardFiles:
    (directory / "__0_0.distcp").write_bytes(SHARD)
    return ShardFiles(files={"__0_0.distcp": (len(SHARD), hashlib.sha256(SHARD).hexdigest())})


def commit(store: CheckpointStore, step: int) -> None:
    asyncio.run(store.commit(make_state(step), write_shards, now=1.0))


def opened(directory: Path, *, attempt: int | None = None, files: Files | None = None):
    store = CheckpointStore(directory, keep=2, files=files)
    store.open_for_attempt(attempt)
    return store


def latest_step(directory: Path) -> int:
    found = opened(directory).load(Resume.LATEST)
    assert found is not None
    return found.state.step


def test_a_committed_checkpoint_loads_and_old_ones_are_pruned(tmp_path):
    store = opened(tmp_path)
    for step in (1, 2, 3):
        commit(store, step)
    assert latest_step(tmp_path) == 3
    assert sorted(p.name for p in tmp_path.glob("step-*")) == ["step-00000002", "step-00000003"]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("operation", range(1, 13))
def test_a_crash_at_any_operation_leaves_the_old_or_the_new_checkpoint(tmp_path, operation, after):
    first = opened(tmp_path)
    commit(first, 1)
    commit(first, 2)
    store = opened(tmp_path)
    store._files = FailingFiles(operation, Crash(), after=after)
    try:
        commit(store, 3)
    except Crash:
        assert latest_step(tmp_path) in (2, 3)
    else:
        assert latest_step(tmp_path) == 3


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS])
def test_a_storage_fault_names_the_path_and_keeps_the_last_checkpoint(tmp_path, code):
    commit(opened(tmp_path), 1)
    store = opened(tmp_path)
    store._files = FailingFiles(2, OSError(code, "no"))
    with pytest.raises(StorageError, match="step-00000002 cannot be written") as caught:
        commit(store, 2)
    assert errno.errorcode[code] in str(caught.value)
    assert latest_step(tmp_path) == 1


def _corruptions():
    for name in ("manifest.json", "state.json", "shards/__0_0.distcp"):
        for how in ("truncate", "flip", "remove", "empty"):
            for position in (0, 3, 40):
                yield name, how, position


@pytest.mark.parametrize(("name", "how", "position"), list(_corruptions()))
def test_a_corrupt_checkpoint_is_quarantined_and_the_one_before_is_used(
    tmp_path, name, how, position
):
    store = opened(tmp_path)
    commit(store, 1)
    commit(store, 2)
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


def test_resume_none_beside_checkpoints_is_refused(tmp_path):
    commit(opened(tmp_path), 1)
    with pytest.raises(CheckpointError, match=r"resume is None, but .* has 1 checkpoints"):
        opened(tmp_path).load(Resume.NONE)


def test_an_empty_store_starts_fresh(tmp_path):
    assert opened(tmp_path).load(Resume.LATEST) is None


def test_a_stale_attempt_can_neither_open_nor_commit(tmp_path):
    old = opened(tmp_path, attempt=1)
    opened(tmp_path, attempt=2)
    with pytest.raises(CheckpointError, match="attempt 2 has taken over"):
        commit(old, 1)
    with pytest.raises(CheckpointError, match="attempt 2 has taken over"):
        opened(tmp_path, attempt=1)
