"""The journal under damage, on a full disk, and when its attempt dies: what that costs."""

import asyncio
import errno
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from journal_builders import STEP, append, found, keys_in, make_key, make_record, opened
from prorl_trainer.checkpoint.files import Files
from prorl_trainer.errors import StorageError
from prorl_trainer.journal.record import encode
from scripted_rollout import START

STATE = START.model_copy(update={"step": STEP})


@given(data=st.data())
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_cut_or_flipped_files_never_give_a_group_that_was_not_written(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """The line with the bit is lost, and at most the one after it; a cut loses what is behind."""
    path = tmp_path_factory.mktemp("journal")
    asyncio.run(_damage(path, data))


async def _damage(path: Path, data: st.DataObject) -> None:
    ordinals = range(6)
    lines = [encode(make_key(i), make_record(make_key(i))) for i in ordinals]
    content = bytearray(b"".join(lines))
    at = data.draw(st.integers(0, len(content) - 1))
    before = next(i for i in ordinals if at < sum(map(len, lines[: i + 1])))
    cut = data.draw(st.booleans())
    if cut:
        del content[at:]
    else:
        content[at] ^= 1 << data.draw(st.integers(0, 7))
    (path / "attempt-00000001.json").write_text("{}")
    (path / "step-00000003.00000001").write_bytes(content)
    second = await opened(path, 2, STATE)
    got = {i: await second.journal.find(make_key(i)) for i in ordinals}
    assert all(r in (None, make_record(make_key(i))) for i, r in got.items())
    lost = {i for i, r in got.items() if r is None}
    assert lost <= (set(range(before, 6)) if cut else {before, before + 1})
    assert before in lost
    assert second.counts["journal_dropped"] >= (0 if cut or before == 5 else 1)


async def test_a_line_that_is_damaged_after_it_was_found_is_dropped_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await append((await opened(tmp_path, 1, STATE)).journal, 1)
    second = await opened(tmp_path, 2, STATE)
    (file,) = tmp_path.glob("step-*")
    file.write_bytes(file.read_bytes().replace(b"stop", b"stoq"))
    assert await found(second.journal, 1) == []
    assert second.counts == Counter(journal_dropped=1)
    assert "a group is drawn again: it is not as it was written" in caplog.text


@pytest.mark.parametrize("text", ["", "[]", '{"../x": 3}', '{"step-00000003.00000001": true}'])
async def test_an_unreadable_list_of_files_costs_what_was_before_it(
    tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    await append((await opened(tmp_path, 1, STATE)).journal, 1)
    await append((await opened(tmp_path, 2, STATE)).journal, 2)
    (tmp_path / "attempt-00000002.json").write_text(text)
    third = await opened(tmp_path, 3, STATE)
    assert await found(third.journal, 1, 2) == [2]
    assert third.counts["journal_dropped"] == 1
    assert "what came before it is drawn again" in caplog.text


class Killed(BaseException):
    """The process ends here."""


class Dying(Files):
    """Ends the process before the operation with this number."""

    def __init__(self, operation: int) -> None:
        self.left = operation

    def _next(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise Killed

    def make_directory(self, path: Path) -> None:
        self._next()
        super().make_directory(path)

    def write(self, path: Path, data: bytes) -> None:
        self._next()
        super().write(path, data)

    def rename(self, source: Path, target: Path) -> None:
        self._next()
        super().rename(source, target)

    def sync(self, path: Path) -> None:
        self._next()
        super().sync(path)


async def test_an_attempt_that_dies_while_it_takes_over_loses_nothing(tmp_path: Path) -> None:
    await append((await opened(tmp_path, 1, STATE)).journal, 1, 2)
    for operation in range(1, 5):
        with pytest.raises(Killed):
            await opened(tmp_path, 1 + operation, STATE, files=Dying(operation))
    last = await opened(tmp_path, 6, STATE, files=Dying(5))
    assert await found(last.journal, 1, 2) == [1, 2]


class FullDisk(Files):
    """Takes so many appends, and then half of one."""

    def __init__(self, appends: int) -> None:
        self.appends = appends
        self.calls = 0

    def append(self, path: Path, data: bytes) -> None:
        self.calls += 1
        if self.calls > self.appends:
            super().append(path, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        super().append(path, data)


async def test_a_full_disk_ends_with_the_error_of_storage_and_nothing_is_written_after_it(
    tmp_path: Path,
) -> None:
    disk = FullDisk(appends=1)
    first = await opened(tmp_path, 1, STATE, files=disk)
    await append(first.journal, 1)
    for ordinal in (2, 3):
        with pytest.raises(StorageError, match=r"No space left on device .*last checkpoint stands"):
            await append(first.journal, ordinal)
    assert disk.calls == 2
    assert first.counts["journal_records"] == 1
    second = await opened(tmp_path, 2, STATE)
    assert await found(second.journal, 1, 2, 3) == [1]


async def test_what_is_finished_at_once_shares_a_write(tmp_path: Path) -> None:
    disk = FullDisk(appends=99)
    made = await opened(tmp_path, 1, STATE, files=disk)
    await asyncio.gather(*(append(made.journal, i) for i in range(200)))
    assert keys_in(tmp_path) == [make_key(i) for i in range(200)]
    assert 4 <= disk.calls < 100, "64 at most in a write"
