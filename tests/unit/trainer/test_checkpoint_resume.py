"""checkpoint.resume: what a job does beside the checkpoints of a former one."""

import asyncio
from pathlib import Path

import pytest
from prorl_api.spec_lifecycle import Resume
from prorl_trainer.checkpoint.checksum import checksum_of
from prorl_trainer.checkpoint.directory import Directory
from prorl_trainer.checkpoint.state import RunState
from prorl_trainer.checkpoint.store import CheckpointStore
from prorl_trainer.errors import CheckpointError
from prorl_trainer.types import ShardFiles

FORMER, MINE = "uid-of-the-former", "uid-of-mine"


async def write_shards(place: str, *, reference: bool) -> ShardFiles:
    Path(place, "a").write_bytes(b"x")
    return ShardFiles(files={"a": (1, checksum_of(b"x"))})


def opened(directory: Path, job_uid: str, attempt: int) -> CheckpointStore:
    store = CheckpointStore(Directory(directory), keep=5)
    store.open_for_attempt(attempt, job_uid)
    return store


def commit(store: CheckpointStore, *steps: int) -> None:
    for step in steps:
        # A state keeps the UID of the job that began it.
        state = RunState(job_uid=FORMER, job_name="j", spec_hash="h", step=step)
        asyncio.run(store.commit(state, write_shards, now=1.0))


@pytest.fixture
def former(tmp_path: Path) -> Path:
    """A store with steps 10 to 40 of another job."""
    commit(opened(tmp_path, FORMER, 1), 10, 20)
    commit(opened(tmp_path, FORMER, 2), 30, 40)
    return tmp_path


def names(directory: Path) -> list[str]:
    return sorted(p.name.split(".bad-")[0] for p in directory.glob("step-*"))


def step_of(store: CheckpointStore, resume: Resume | int) -> int | None:
    found = store.load(resume)
    return None if found is None else found.state.step


def test_a_step_is_gone_on_from_and_later_ones_are_set_aside(former: Path) -> None:
    everything = names(former)
    store = opened(former, MINE, 1)
    assert step_of(store, 20) == store.last_step == 20
    assert names(former) == everything, "nothing is deleted"
    assert Directory(former).steps() == [10, 20]
    assert len(Directory(former).aside()) == 2
    assert step_of(store, Resume.LATEST) == 20


def test_a_step_that_is_not_there_is_refused_with_those_that_are(former: Path) -> None:
    with pytest.raises(
        CheckpointError, match=r"resume is 25, but .* no checkpoint of that step; it has 10, 20, 30"
    ):
        opened(former, MINE, 1).load(25)
    assert Directory(former).steps() == [10, 20, 30, 40]


def test_no_step_can_be_gone_on_from_where_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="it has none"):
        opened(tmp_path, MINE, 1).load(0)


def test_a_broken_step_is_refused_and_all_stay_as_they_are(former: Path) -> None:
    (former / "step-00000020/shards/a").write_bytes(b"y")
    with pytest.raises(CheckpointError, match="shards/a has another checksum"):
        opened(former, MINE, 1).load(20)
    assert Directory(former).steps() == [10, 20, 30, 40]


def test_a_later_attempt_goes_back_too_as_long_as_the_job_has_saved_nothing(former: Path) -> None:
    opened(former, MINE, 1)  # it died before it had looked
    assert step_of(opened(former, MINE, 2), 20) == 20
    assert step_of(opened(former, MINE, 3), 20) == 20


def test_a_job_that_has_saved_goes_on_from_its_own_newest(former: Path) -> None:
    store = opened(former, MINE, 1)
    assert step_of(store, 20) == 20
    commit(store, 21, 22)
    assert step_of(opened(former, MINE, 2), 20) == 22
    assert Directory(former).steps() == [10, 20, 21, 22]


def test_none_is_refused_beside_another_jobs_checkpoints_by_every_attempt(former: Path) -> None:
    for attempt in (1, 2):
        with pytest.raises(CheckpointError, match=r"resume is None, but .* has 4 checkpoints"):
            opened(former, MINE, attempt).load(Resume.NONE)


def test_a_job_that_began_afresh_goes_on_when_its_coordinator_is_replaced(tmp_path: Path) -> None:
    store = opened(tmp_path, MINE, 1)
    assert step_of(store, Resume.NONE) is None
    commit(store, 1)
    assert step_of(opened(tmp_path, MINE, 2), Resume.NONE) == 1
