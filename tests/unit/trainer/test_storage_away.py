"""A storage that is away when an attempt begins, and comes back or does not."""

import asyncio
import errno
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from prorl_api.spec_model import DataSet
from prorl_api.wire import Stage
from prorl_trainer import start
from prorl_trainer.checkpoint.away import PATIENCE_S, PAUSE_S, until_back
from prorl_trainer.checkpoint.directory import Directory
from prorl_trainer.checkpoint.files import Files
from prorl_trainer.checkpoint.store import CheckpointStore
from prorl_trainer.context import Context
from prorl_trainer.data.files import read_records
from prorl_trainer.data.sets import check_hash
from prorl_trainer.desk import Desk
from prorl_trainer.errors import CheckpointError, StorageAwayError, StorageError, TrainingError
from prorl_trainer.lifetime import make_desk
from run_context import SET, make_context
from virtual_clock import run, virtual

TEN_MINUTES_S = 600.0


class Server:
    """Is away until a moment of the loop's clock."""

    def __init__(self, back_at: float, error: TrainingError) -> None:
        self.back_at, self.error, self.asked = back_at, error, 0

    async def claim(self) -> int:
        self.asked += 1
        if asyncio.get_running_loop().time() < self.back_at:
            raise self.error
        return 3


AWAY = StorageAwayError("/s/q cannot be written: Stale file handle (ESTALE).")


def test_ten_minutes_are_waited_for_and_told(caplog: pytest.LogCaptureFixture) -> None:
    server, said = Server(TEN_MINUTES_S, AWAY), list[str]()
    with caplog.at_level(logging.WARNING):
        attempt, seconds = run(until_back(server.claim, PATIENCE_S, said.append))
    assert attempt == 3
    assert TEN_MINUTES_S <= seconds <= TEN_MINUTES_S + PAUSE_S
    assert said == ["Waiting for the storage. /s/q cannot be written: Stale file handle (ESTALE)."]
    assert len(caplog.records) == 1, "once, not at every look"


@virtual
async def test_what_stays_away_ends_with_the_code_of_storage() -> None:
    server = Server(1e9, AWAY)
    with pytest.raises(StorageAwayError):
        await until_back(server.claim, PATIENCE_S, lambda _: None)
    seconds = asyncio.get_running_loop().time()
    assert PATIENCE_S - PAUSE_S <= seconds <= PATIENCE_S


@pytest.mark.parametrize("error", [StorageError("Read-only"), CheckpointError("replaced")])
def test_what_waiting_does_not_mend_is_raised_at_once(error: TrainingError) -> None:
    server = Server(1e9, error)
    with pytest.raises(type(error)):
        run(until_back(server.claim, PATIENCE_S, lambda _: None))
    assert server.asked == 1


class Flaky(Files):
    """Says what a server says that is away, so many times."""

    def __init__(self, times: int) -> None:
        self.times = times

    def make_directory(self, path: Path) -> None:
        self.times -= 1
        if self.times >= 0:
            raise OSError(errno.EIO, "Input/output error")
        super().make_directory(path)


def desk_of(context: Context, files: Files) -> Desk:
    return make_desk(context, CheckpointStore(Directory(context.checkpoints, files), keep=2))


async def test_a_run_by_hand_does_not_wait(tmp_path: Path) -> None:
    with pytest.raises(StorageAwayError, match=r"Input/output error \(EIO\)"):
        await start.claim(desk_of(make_context(tmp_path), Flaky(1)))


async def test_the_attempt_that_has_claimed_is_the_one_that_status_and_journal_know(
    tmp_path: Path,
) -> None:
    pod = replace(make_context(tmp_path), local=False, attempt=2)
    for context, attempt in ((make_context(tmp_path), 1), (pod, 2)):
        desk = desk_of(context, Files())
        await start.claim(desk)
        assert (desk.attempt, desk.status.document().attempt) == (attempt, attempt)
        assert desk.status.document().stage is Stage.STARTING


async def test_before_it_has_claimed_a_pod_says_already_which_attempt_it_is(
    tmp_path: Path,
) -> None:
    """The operator believes no other: what the attempt waits for would be told by nobody."""
    pod = replace(make_context(tmp_path), local=False, attempt=7)
    assert desk_of(pod, Files()).status.document().attempt == 7


READS = {
    "rows": lambda path: read_records("sums", path, ()),
    "fingerprint": lambda path: check_hash(DataSet.model_validate(SET), [path]),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_rows_that_do_not_answer_are_no_fault_of_the_data(
    tmp_path: Path, read: Callable[[Path], object]
) -> None:
    """That would be final: exit code 11."""
    rows = tmp_path / "rows.jsonl"
    rows.symlink_to("/proc/self/mem")  # its first bytes cannot be read: EIO
    with pytest.raises(StorageAwayError, match=r"Dataset sums: .*Input/output error \(EIO\)"):
        read(rows)
