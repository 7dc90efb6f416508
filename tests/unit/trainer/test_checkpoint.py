"""The commit protocol under crashes and corruption: the previous or the new one, never neither."""

import asyncio
import errno
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prorl_api.spec_lifecycle import Resume
from prorl_trainer.checkpoint.directory import Directory
from prorl_trainer.checkpoint.files import Files, storage_errors
from prorl_trainer.checkpoint.manifest import FileEntry, Manifest
from prorl_trainer.checkpoint.state import GuardState, RunState
from prorl_trainer.checkpoint.store import CheckpointStore
from prorl_trainer.errors import CheckpointError, StorageError, TrainerLostError
from prorl_trainer.types import ShardFiles

SHARD = b"weights" * 100
OPERATIONS = 10
"""File operations of a commit that prunes one checkpoint."""


class Crash(BaseException):
    """The process is gone: nothing after it runs."""


class FailingFiles(Files):
    """Fails at the n-th operation, before or after it took effect. After a crash nothing works."""

    def __init__(self, at: int, error: BaseException, *, after: bool = False) -> None:
        self.left, self.error, self.after = at, error, after

    def _do(self, name, *args):
        self.left -= 1
        if self.left == 0 and self.after:
            getattr(super(), name)(*args)
        if self.left == 0 or (self.left < 0 and isinstance(self.error, Crash)):
            raise self.error
        getattr(super(), name)(*args)

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


def make_state(step: int, **fields) -> RunState:
    return RunState(job_uid="u", job_name="j", spec_hash="h", step=step, **fields)


async def write_shards(place: str) -> ShardFiles:
    with storage_errors(Path(place)):
        Path(place, "__0_0.distcp").write_bytes(SHARD)
    return ShardFiles(files={"__0_0.distcp": (len(SHARD), hashlib.sha256(SHARD).hexdigest())})


def commit(store: CheckpointStore, step: int, **fields) -> None:
    asyncio.run(store.commit(make_state(step, **fields), write_shards, now=1.0))


def opened(directory: Path, *, attempt: int | None = None, files: Files | None = None):
    store = CheckpointStore(Directory(directory, files), keep=2)
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


def test_the_best_is_kept_until_another_one_is_better(tmp_path):
    store = opened(tmp_path)
    for step, best in ((0, [0]), (1, [0]), (2, [0]), (3, [0]), (4, [4]), (5, [4])):
        commit(store, step, best_steps=best)
        kept = sorted(int(p.name[-8:]) for p in tmp_path.glob("step-*"))
        assert kept == sorted({step, max(0, step - 1), *best})


def test_one_checkpoint_opens_by_its_step_and_a_lost_or_corrupt_one_says_why(tmp_path):
    store = opened(tmp_path)
    commit(store, 1)
    commit(store, 2)
    assert store.open(1).state.step == 1
    assert store.last_step == 2, "the newest one still is"
    (tmp_path / "step-00000001" / "shards" / "__0_0.distcp").write_bytes(b"x" * len(SHARD))
    with pytest.raises(CheckpointError, match=r"step-00000001 cannot be used: .* another sha256"):
        store.open(1)
    with pytest.raises(CheckpointError, match=r"step-00000007 cannot be used: .* missing"):
        store.open(7)
    assert latest_step(tmp_path) == 2


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("operation", range(1, OPERATIONS + 1))
def test_a_crash_at_any_operation_leaves_the_old_or_the_new_checkpoint(tmp_path, operation, after):
    first = opened(tmp_path)
    commit(first, 1)
    commit(first, 2)
    store = opened(tmp_path, files=(files := FailingFiles(10**6, Crash(), after=after)))
    files.left = operation
    try:
        commit(store, 3)
    except Crash:
        assert latest_step(tmp_path) in (2, 3)
    else:
        assert latest_step(tmp_path) == 3
    commit(opened(tmp_path), 4)
    assert latest_step(tmp_path) == 4
    assert not list(tmp_path.glob("*.tmp-*"))


def test_the_crashes_above_cover_every_operation_of_a_commit(tmp_path):
    first = opened(tmp_path)
    commit(first, 1)
    commit(first, 2)
    store = opened(tmp_path, files=(files := FailingFiles(10**6, Crash())))
    files.left = 1000
    commit(store, 3)
    assert 1000 - files.left == OPERATIONS


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS])
def test_a_storage_fault_names_the_path_and_keeps_the_last_checkpoint(tmp_path, code):
    commit(opened(tmp_path), 1)
    store = opened(tmp_path, files=(files := FailingFiles(10**6, OSError(code, "no"))))
    files.left = 2
    with pytest.raises(StorageError, match="step-00000002 cannot be written") as caught:
        commit(store, 2)
    assert errno.errorcode[code] in str(caught.value)
    assert latest_step(tmp_path) == 1


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


def test_an_empty_store_starts_fresh(tmp_path):
    assert opened(tmp_path).load(Resume.LATEST) is None


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


class NewerManifest(Manifest):
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
    assert '"schemaVersion":1' in text
    manifest.write_text(text.replace('"schemaVersion":1', '"schemaVersion":3'))
    assert latest_step(tmp_path) == 1


def test_what_a_newer_version_wrote_is_refused_and_left_alone(tmp_path):
    commit(opened(tmp_path), 1)
    manifest = tmp_path / "step-00000001" / "manifest.json"
    manifest.write_bytes(NewerManifest(schema_version=2).encode())
    with pytest.raises(CheckpointError, match="written by a newer version"):
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


def test_a_failed_write_of_the_shards_leaves_no_temporary_directory(tmp_path):
    async def fail(_: str) -> ShardFiles:
        raise StorageError("no space")

    store = opened(tmp_path)
    with pytest.raises(StorageError, match="no space"):
        asyncio.run(store.commit(make_state(1), fail, now=1.0))
    assert not list(tmp_path.glob("step-*"))


def test_what_a_dying_rank_wrote_after_a_failed_save_is_removed_by_the_next(tmp_path):
    written = []

    async def fail(place: str) -> ShardFiles:
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
    async def short(place: str) -> ShardFiles:
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
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False).returncode != 0:
        pytest.skip("mounting a small disk needs root")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


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


def committed(directory: Path, *steps: int, **fields) -> CheckpointStore:
    store = CheckpointStore(Directory(directory), keep=9)
    store.open_for_attempt(None)
    for step in steps:
        commit(store, step, **fields)
    return store


def test_going_back_sets_the_later_checkpoints_aside(tmp_path):
    store = committed(tmp_path, 2, 4, 6)
    assert store.roll_back(6).state.step == store.last_step == 4
    assert [p.name[:13] for p in tmp_path.glob("*.bad-*")] == ["step-00000006"]
    commit(store, 6)
    assert latest_step(tmp_path) == 6


@pytest.mark.parametrize("before", [2, 4], ids=["none", "broken"])
def test_where_it_cannot_go_back_everything_stays(tmp_path, before):
    store = committed(tmp_path, 2, 4)
    (tmp_path / "step-00000002" / "state.json").write_text("{}")
    with pytest.raises(CheckpointError):
        store.roll_back(before)
    assert sorted(p.name for p in tmp_path.glob("step-*")) == ["step-00000002", "step-00000004"]


def test_while_a_signal_is_out_of_bounds_the_last_healthy_checkpoint_is_kept(tmp_path):
    store = opened(tmp_path)
    commit(store, 1)
    commit(store, 2)
    for step in (3, 4, 5):
        commit(store, step, guard=GuardState(counts={"klAbove": 1}, since=3))
        kept = sorted(int(p.name[-8:]) for p in tmp_path.glob("step-*"))
        assert kept == sorted({2, step - 1, step})
    commit(store, 6)
    assert sorted(int(p.name[-8:]) for p in tmp_path.glob("step-*")) == [5, 6]
