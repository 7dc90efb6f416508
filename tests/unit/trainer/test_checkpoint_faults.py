"""The commit protocol under crashes and faults of the storage: the previous checkpoint or the new
one, never neither."""

import asyncio
import errno
from collections.abc import Iterator
from pathlib import Path

import pytest
from checkpoint_builders import (
    SHARD,
    Crash,
    FailingFiles,
    commit,
    latest_step,
    make_state,
    opened,
    write_shards,
)
from prorl_trainer.errors import StorageError, TrainerLostError
from prorl_trainer.types import ShardFiles
from refused import disk

OPERATIONS = 14
"""File operations of a commit that takes the reference from an earlier one, and prunes one."""


def third_commit(tmp_path: Path, error: BaseException, at: int, *, after: bool = False) -> int:
    """Operations that it began."""
    store = opened(tmp_path, files=(files := FailingFiles(10**6, error, after=after)))
    commit(store, 1)
    commit(store, 2)
    files.left = at
    commit(store, 3)
    return at - files.left


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("operation", range(1, OPERATIONS + 1))
def test_a_crash_at_any_operation_leaves_the_old_or_the_new_checkpoint(tmp_path, operation, after):
    try:
        third_commit(tmp_path, Crash(), operation, after=after)
    except Crash:
        assert latest_step(tmp_path) in (2, 3)
    else:
        assert latest_step(tmp_path) == 3
    commit(opened(tmp_path), 4)
    assert latest_step(tmp_path) == 4
    assert not list(tmp_path.glob("*.tmp-*"))


def test_the_crashes_above_cover_every_operation_of_a_commit(tmp_path):
    assert third_commit(tmp_path, Crash(), 1000) == OPERATIONS


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS])
def test_a_storage_fault_names_the_path_and_keeps_the_last_checkpoint(tmp_path, code):
    commit(opened(tmp_path), 1)
    store = opened(tmp_path, files=(files := FailingFiles(10**6, OSError(code, "no"))))
    files.left = 2
    with pytest.raises(StorageError, match="step-00000002 cannot be written") as caught:
        commit(store, 2)
    assert errno.errorcode[code] in str(caught.value)
    assert latest_step(tmp_path) == 1


def test_a_failed_write_of_the_shards_leaves_no_temporary_directory(tmp_path):
    async def fail(_: str, *, reference: bool) -> ShardFiles:
        raise StorageError("no space")

    store = opened(tmp_path)
    with pytest.raises(StorageError, match="no space"):
        asyncio.run(store.commit(make_state(1), fail, now=1.0))
    assert not list(tmp_path.glob("step-*"))


def test_what_a_dying_rank_wrote_after_a_failed_save_is_removed_by_the_next(tmp_path):
    written = []

    async def fail(place: str, *, reference: bool) -> ShardFiles:
        written.append(Path(place))
        raise TrainerLostError("a rank is gone")

    store = opened(tmp_path)
    with pytest.raises(TrainerLostError):
        asyncio.run(store.commit(make_state(1), fail, now=1.0))
    written[0].mkdir(parents=True)
    (written[0] / "__1_0.distcp").write_bytes(SHARD)
    foreign = tmp_path / "step-00000009.tmp-2-abcdef01"  # a newer attempt is writing it
    foreign.mkdir()
    commit(store, 1)
    assert list(tmp_path.glob("step-*.tmp-*")) == [foreign]


def test_leftovers_that_cannot_be_removed_keep_no_attempt_from_starting(tmp_path):
    (tmp_path / "step-00000001.tmp-1-abcdef01").mkdir()
    busy = FailingFiles(at=4, error=OSError(errno.ENOTEMPTY, "still written to"))
    commit(opened(tmp_path, files=busy), 2)


def test_a_shard_of_another_size_than_its_rank_says_is_not_committed(tmp_path):
    async def short(place: str, *, reference: bool) -> ShardFiles:
        files = (await write_shards(place)).files
        Path(place, "__0_0.distcp").write_bytes(SHARD[:-1])
        return ShardFiles(files=files)

    store = opened(tmp_path)
    with pytest.raises(StorageError, match="has 699 bytes, 700 were written"):
        asyncio.run(store.commit(make_state(1), short, now=1.0))
    assert not list(tmp_path.glob("step-*"))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    with disk(tmp_path / "disk", 256 << 10) as mounted:
        yield mounted


def test_a_full_disk_costs_no_checkpoint_and_space_brings_it_back(small_disk):
    commit(opened(small_disk), 1)
    filler = small_disk / "filler"
    with pytest.raises(OSError, match="No space"):
        filler.write_bytes(b"x" * (1 << 20))
    store = opened(small_disk)
    with pytest.raises(StorageError, match=r"ENOSPC\), 0 bytes are free"):
        commit(store, 2)
    filler.unlink()
    assert latest_step(small_disk) == 1
    commit(opened(small_disk), 2)
    assert latest_step(small_disk) == 2
