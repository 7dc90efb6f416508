"""The reference is written once, or twice, per version; checkpoints share its bytes by turns."""

import asyncio
import errno
from pathlib import Path

import pytest
from checkpoint_builders import REFERENCE, FailingFiles, make_state, opened, write_shards
from hypothesis import given
from hypothesis import strategies as st
from prorl_api.spec_lifecycle import Resume
from prorl_trainer.checkpoint.references import ReferenceCopies
from prorl_trainer.checkpoint.state import ReferenceState, RunState
from prorl_trainer.checkpoint.store import CheckpointStore
from prorl_trainer.errors import StorageError
from prorl_trainer.types import ShardFiles

FILE = "shards/reference/__0_0.distcp"


class Writers:
    """Learners; `wrote` says for each save whether they had to write the reference."""

    def __init__(self) -> None:
        self.wrote: list[bool] = []

    async def __call__(self, place: str, *, reference: bool) -> ShardFiles:
        self.wrote.append(reference)
        return await write_shards(place, reference=reference)


def state(step: int, version: int, **fields: object) -> RunState:
    return make_state(step, reference=ReferenceState(version=version), **fields)


def committed(store: CheckpointStore, versions: dict[int, int], **fields: object) -> list[bool]:
    """Step -> version of the reference."""
    writers = Writers()
    for step, version in versions.items():
        asyncio.run(store.commit(state(step, version, **fields), writers, now=1.0))
    return writers.wrote


def file_of(directory: Path, step: int) -> Path:
    return directory / f"step-{step:08d}" / FILE


def test_the_first_two_of_a_version_are_written_and_later_ones_share_them_by_turns(
    tmp_path: Path,
) -> None:
    store = opened(tmp_path)
    wrote = committed(store, {1: 0, 2: 0, 3: 0, 4: 0, 5: 1, 6: 1, 7: 1}, best_steps=[1, 2, 3, 4, 5])
    assert wrote == [True, True, False, False, True, True, False]
    inodes = [file_of(tmp_path, step).stat().st_ino for step in range(1, 8)]
    assert inodes[0] == inodes[2] != inodes[1] == inodes[3]
    assert inodes[4] == inodes[6] != inodes[5]
    assert len(set(inodes)) == 4


def test_what_is_pruned_takes_no_bytes_from_whoever_shares_them(tmp_path: Path) -> None:
    committed(opened(tmp_path), dict.fromkeys(range(1, 9), 0))
    assert not file_of(tmp_path, 6).exists()
    for step in (7, 8):
        assert file_of(tmp_path, step).read_bytes() == REFERENCE
    assert opened(tmp_path).open(8).state.step == 8


def test_a_bad_byte_breaks_every_other_checkpoint_and_not_the_one_before(tmp_path: Path) -> None:
    committed(opened(tmp_path), dict.fromkeys(range(1, 6), 0), best_steps=[2])
    file_of(tmp_path, 5).write_bytes(REFERENCE[::-1])
    found = opened(tmp_path).load(Resume.LATEST)
    assert found is not None
    assert found.state.step == 4


def test_after_a_load_only_what_was_verified_is_shared(tmp_path: Path) -> None:
    """Its copy of step 2 is bad, which nobody has noticed."""
    committed(opened(tmp_path), {1: 0, 2: 0, 3: 0})
    file_of(tmp_path, 2).write_bytes(REFERENCE[::-1])
    again = opened(tmp_path)
    again.load(Resume.LATEST)
    assert committed(again, {4: 0, 5: 0}) == [True, False]
    assert file_of(tmp_path, 5).samefile(file_of(tmp_path, 4)) is False
    for step in (4, 5):
        assert opened(tmp_path).open(step).state.step == step


def test_a_version_of_a_history_that_was_given_up_is_not_taken_for_the_new_one(
    tmp_path: Path,
) -> None:
    store = opened(tmp_path)
    committed(store, {1: 0, 2: 1, 3: 1}, best_steps=[1, 2, 3])
    store.roll_back(2)
    assert committed(store, {2: 1, 3: 1}) == [True, True]


@pytest.mark.parametrize("code", [errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOENT])
def test_where_there_are_no_hard_links_it_is_written_and_the_log_says_why(
    tmp_path: Path, code: int, caplog: pytest.LogCaptureFixture
) -> None:
    store = opened(tmp_path, files=(files := FailingFiles(10**6, OSError(code, "no link"))))
    committed(store, {1: 0, 2: 0})
    files.left = 3
    assert committed(store, {3: 0}) == [True]
    assert "written anew: no hard link" in caplog.text
    assert file_of(tmp_path, 3).stat().st_nlink == 1
    assert opened(tmp_path).open(3).state.step == 3


def test_other_faults_of_a_link_are_the_storages(tmp_path: Path) -> None:
    store = opened(tmp_path, files=(files := FailingFiles(10**6, OSError(errno.ENOSPC, "full"))))
    committed(store, {1: 0, 2: 0})
    files.left = 3
    with pytest.raises(StorageError, match="ENOSPC"):
        committed(store, {3: 0})
    assert opened(tmp_path).open(2).state.step == 2
    assert not list(tmp_path.glob("*.tmp-*"))


ACTS = st.lists(
    st.sampled_from(["save", "save", "save", "reset", "best", "resume", "break"]), max_size=40
)


@given(ACTS, st.integers(2, 4))
def test_the_two_newest_never_share_a_copy_and_copies_are_of_their_version(
    acts: list[str], keep: int
) -> None:
    """Bytes by step, as links would make them."""
    copies, bytes_of, best = ReferenceCopies(), dict[int, tuple[int, object]](), set[int]()
    step = version = 0
    for act in acts:
        if act == "reset":
            version += 1
        elif act == "best":
            best.add(step)
        elif act in ("resume", "break") and bytes_of:
            if act == "break" and len(bytes_of) > 1:
                del bytes_of[max(bytes_of)]
            step, version = max(bytes_of), bytes_of[max(bytes_of)][0]
            copies.loaded(step, version)
        elif act == "save":
            step += 1
            source = copies.source(version, bytes_of)
            bytes_of[step] = (version, object()) if source is None else bytes_of[source]
            copies.committed(step, version, source)
            assert bytes_of[step][0] == version
            newest = [bytes_of[s] for s in sorted(bytes_of)[-2:]]
            assert len(set(newest)) == len(newest)
            for old in sorted(bytes_of)[:-keep]:
                if old not in best:
                    del bytes_of[old]
