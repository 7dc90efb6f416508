"""Storage that refuses or does not answer: an error that says so, and no checkpoint is blamed."""

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from journal_builders import STEP, append, found
from journal_builders import opened as opened_journal
from prorl_api.exit_codes import ExitCode
from prorl_api.spec_lifecycle import Resume
from prorl_trainer.checkpoint.directory import Directory
from prorl_trainer.checkpoint.files import Files
from prorl_trainer.checkpoint.store import CheckpointStore
from prorl_trainer.errors import StorageAwayError, StorageError
from prorl_trainer.journal.directory import JournalDirectory
from prorl_trainer.observe.tracker import Tracker
from refused import NOBODY, as_nobody, disk, open_directory, read_only
from scripted_rollout import START
from store_builders import commit, opened

REFUSED = rf"Permission denied \(EACCES\).* user {NOBODY}:{NOBODY}.*0:0 with mode d"
REFUSED_FILE = REFUSED.removesuffix("d") + "-rw-------"
READ_ONLY = r"Read-only file system \(EROFS\)"


@pytest.fixture
def place() -> Iterator[Path]:
    with open_directory() as found:
        yield found


def track(directory: Path) -> None:
    Tracker(directory, attempt=1, step=0).close()


def step_on(directory: Path) -> int | None:
    """That somebody would go on from who only reads."""
    checkpoint = CheckpointStore(Directory(directory), keep=2).load(Resume.LATEST)
    return None if checkpoint is None else checkpoint.state.step


FIRST_ACTS: dict[str, Callable[[Path], object]] = {
    "checkpoints": opened,
    "journal": lambda path: JournalDirectory(path, lambda: 1).take_over(0),
    "metrics": track,
}


@pytest.mark.parametrize("act", FIRST_ACTS.values(), ids=FIRST_ACTS)
def test_a_volume_of_another_user_is_told_with_path_user_and_mode(
    place: Path, act: Callable[[Path], object]
) -> None:
    with as_nobody(), pytest.raises(StorageError, match=REFUSED) as caught:
        act(place / "q")
    assert str(place) in str(caught.value)
    assert caught.value.exit_code is ExitCode.STORAGE


@pytest.mark.parametrize("act", FIRST_ACTS.values(), ids=FIRST_ACTS)
def test_a_read_only_volume_is_told_at_the_start(
    tmp_path: Path, act: Callable[[Path], object]
) -> None:
    with disk(tmp_path / "disk") as mounted:
        read_only(mounted)
        with pytest.raises(StorageError, match=READ_ONLY):
            act(mounted / "q")


def test_a_volume_that_becomes_read_only_costs_no_checkpoint(tmp_path: Path) -> None:
    with disk(tmp_path / "disk") as mounted:
        store = opened(mounted / "q")
        commit(store, 1)
        journal = JournalDirectory(mounted / "journal", lambda: 1)
        journal.take_over(1)
        read_only(mounted)
        for write in (lambda: commit(store, 2), lambda: journal.append(1, b"x\n")):
            with pytest.raises(StorageError, match=READ_ONLY):
                write()
        assert step_on(mounted / "q") == 1


def test_permissions_that_are_taken_away_midway_cost_no_checkpoint(place: Path) -> None:
    place.chmod(0o777)
    with as_nobody():
        store = opened(place / "q")
        commit(store, 1)
    os.chown(place / "q", 0, 0)
    with as_nobody(), pytest.raises(StorageError, match=REFUSED):
        commit(store, 2)
    os.chown(place / "q", NOBODY, NOBODY)
    with as_nobody():
        commit(store, 2)


@pytest.mark.parametrize("mode", [0o000, 0o311], ids=["nothing", "may not list"])
def test_checkpoints_that_cannot_be_listed_are_no_fresh_start(place: Path, mode: int) -> None:
    commit(opened(place / "q"), 1)
    (place / "q").chmod(mode)
    with as_nobody():
        for look in (Directory(place / "q").steps, Directory(place / "q").aside):
            with pytest.raises(StorageError, match="cannot be read: " + REFUSED):
                look()
        with pytest.raises(StorageError):
            CheckpointStore(Directory(place / "q"), keep=2).load(Resume.LATEST)


async def test_a_journal_that_may_not_be_read_is_kept_for_when_it_may(place: Path) -> None:
    state = START.model_copy(update={"step": STEP})
    await append((await opened_journal(place / "j", 1, state)).journal, 1)
    (file,) = (place / "j").glob("step-*")
    os.chown(place / "j", NOBODY, NOBODY)
    file.chmod(0o600)
    with as_nobody(), pytest.raises(StorageError, match="cannot be read: " + REFUSED_FILE):
        JournalDirectory(place / "j", lambda: 2).take_over(0)
    assert await found((await opened_journal(place / "j", 2, state)).journal, 1) == [1]


class Away(Directory):
    """The server stops to answer for manifests of these steps."""

    def __init__(self, path: Path, steps: tuple[int, ...]) -> None:
        super().__init__(path)
        self.away = steps

    def manifest(self, step):  # type: ignore[no-untyped-def]
        if step in self.away:
            raise StorageAwayError("Stale file handle")
        return super().manifest(step)


def store_of(medium: Directory) -> CheckpointStore:
    store = CheckpointStore(medium, keep=9)
    store.open_for_attempt(2, "mine")
    return store


def test_a_checkpoint_that_cannot_be_read_now_does_not_send_the_job_back_to_resume(
    tmp_path: Path,
) -> None:
    """Whose it is cannot be told: it may be the job's own, and then `resume` counts no more."""
    commit(opened(tmp_path, 1, "former"), 10)
    commit(opened(tmp_path, 1, "mine"), 30)
    with pytest.raises(StorageAwayError):
        store_of(Away(tmp_path, (30,))).load(10)
    assert Directory(tmp_path).steps() == [10, 30]


@pytest.mark.parametrize(
    "ask", [lambda s: s.open(10), lambda s: s.load(10)], ids=["best", "resume"]
)
def test_storage_that_does_not_answer_is_no_broken_checkpoint(
    tmp_path: Path, ask: Callable[[CheckpointStore], object]
) -> None:
    """That would be final: exit code 13."""
    commit(opened(tmp_path, 1, "former"), 10)
    with pytest.raises(StorageAwayError):
        ask(store_of(Away(tmp_path, (10,))))


class Gone(Files):
    """Each operation fails as on a server that is away."""

    def make_directory(self, path: Path) -> None:
        raise OSError(errno.ESTALE, "Stale file handle")


@pytest.mark.parametrize(
    "act",
    [
        lambda path, files: Directory(path, files).prepare(),
        lambda path, files: JournalDirectory(path, lambda: 1, files).take_over(0),
    ],
    ids=["checkpoints", "journal"],
)
def test_what_may_come_back_is_told_apart(
    tmp_path: Path, act: Callable[[Path, Files], object]
) -> None:
    with pytest.raises(StorageAwayError, match=r"Stale file handle \(ESTALE\)"):
        act(tmp_path / "q", Gone())
    assert issubclass(StorageAwayError, StorageError)
