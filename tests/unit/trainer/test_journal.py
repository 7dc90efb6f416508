"""The journal's files: what is found, whose it is, what damage, zombies and a full disk cost."""

import asyncio
import errno
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from journal_builders import keys_in, make_key, make_record, opened
from prorl_trainer.checkpoint.files import Files
from prorl_trainer.errors import CheckpointError, StorageError
from prorl_trainer.journal.journal import Journal
from prorl_trainer.journal.record import encode
from scripted_rollout import START

KEY = make_key()
RECORD = make_record(KEY)
STATE = START.model_copy(update={"step": KEY.step})


async def append(journal: Journal, *ordinals: int, step: int = KEY.step) -> None:
    for ordinal in ordinals:
        key = make_key(ordinal, step=step)
        await journal.append(key, make_record(key, version=f"1-{step}"))


async def found(journal: Journal, *ordinals: int, step: int = KEY.step) -> list[int]:
    """Those of the ordinals that are there."""
    pairs = [(ordinal, await journal.find(make_key(ordinal, step=step))) for ordinal in ordinals]
    return [ordinal for ordinal, record in pairs if record is not None]


async def test_the_next_attempt_finds_what_was_finished_and_the_one_after_it_both(
    tmp_path: Path,
) -> None:
    first = await opened(tmp_path, 1, STATE)
    await append(first.journal, 1, 2)
    second = await opened(tmp_path, 2, STATE)
    assert await found(second.journal, 1, 2, 3) == [1, 2]
    await append(second.journal, 3)
    third = await opened(tmp_path, 3, STATE)
    assert await found(third.journal, 1, 2, 3, 4) == [1, 2, 3]
    assert first.counts["journal_records"] == 2
    assert first.counts["journal_bytes"] == 2 * len(encode(make_key(1), make_record(make_key(1))))
    assert third.counts == Counter(journal_replayed=3)


async def test_a_group_is_found_once_and_again_when_the_run_goes_back(tmp_path: Path) -> None:
    made = await opened(tmp_path, 1, STATE)
    await append(made.journal, 1)
    assert await found(made.journal, 1) == [], "it was drawn for this very collection"
    await made.journal.open(STATE)
    assert await found(made.journal, 1) == [1]
    assert await found(made.journal, 1) == []


async def test_what_was_drawn_twice_for_a_step_comes_back_in_that_order(tmp_path: Path) -> None:
    first = await opened(tmp_path, 1, STATE)
    records = [make_record(KEY, samples=n) for n in (1, 2)]
    for record in records:
        await first.journal.append(KEY, record)
    second = await opened(tmp_path, 2, STATE)
    assert [await second.journal.find(KEY) for _ in range(3)] == [*records, None]


async def test_a_policy_that_was_given_up_leaves_nothing(tmp_path: Path) -> None:
    first = await opened(tmp_path, 1, STATE)
    await first.journal.append(KEY, RECORD)
    second = await opened(tmp_path, 2, STATE)
    assert await second.journal.find(make_key(lineage="another")) is None
    assert await second.journal.find(make_key(step=KEY.step + 1)) is None
    assert await second.journal.find(KEY) == RECORD


@pytest.mark.parametrize(("version", "staleness", "usable"), [
    ("1-3", 0, True), ("1-2", 0, False), ("1-2", 1, True), ("1-1", 1, False), ("initial", 1, False),
])  # fmt: skip
async def test_tokens_that_are_too_old_for_the_step_are_not_used(
    tmp_path: Path, version: str, staleness: int, usable: bool
) -> None:
    first = await opened(tmp_path, 1, STATE, staleness=staleness)
    await first.journal.append(KEY, make_record(KEY, version=version))
    second = await opened(tmp_path, 2, STATE, staleness=staleness)
    assert (await second.journal.find(KEY) is not None) is usable


async def test_what_a_checkpoint_contains_is_forgotten_by_it_and_by_a_resume(
    tmp_path: Path,
) -> None:
    first = await opened(tmp_path, 1, STATE)
    for step in (3, 4, 5):
        await append(first.journal, 1, step=step)
    await first.journal.forget(4)
    assert [key.step for key in keys_in(tmp_path)] == [4, 5]
    second = await opened(tmp_path, 2, STATE.model_copy(update={"step": 5}))
    assert [key.step for key in keys_in(tmp_path)] == [5]
    assert await found(second.journal, 1, step=5) == [1]
    back = await opened(tmp_path, 3, STATE)
    assert await found(back.journal, 1, step=4) == []
    assert back.counts["journal_dropped"] == 0, "what is gone is no damage"


async def test_what_a_replaced_attempt_writes_later_is_read_by_nobody(tmp_path: Path) -> None:
    zombie = await opened(tmp_path, 1, STATE)
    await append(zombie.journal, 1)
    second = await opened(tmp_path, 2, STATE)
    await append(zombie.journal, 2)
    await append(zombie.journal, 9, step=4)
    await append(second.journal, 3)
    third = await opened(tmp_path, 3, STATE)
    assert await found(third.journal, 1, 2, 3) == [1, 3]
    assert await found(third.journal, 9, step=4) == []
    with pytest.raises(CheckpointError, match=r"Attempt 2 may not write .* attempt 3 has taken"):
        await second.journal.open(STATE)


async def test_a_crash_before_the_next_attempt_has_written_anything_loses_nothing(
    tmp_path: Path,
) -> None:
    await append((await opened(tmp_path, 1, STATE)).journal, 1)
    for attempt in (2, 3, 4):
        await opened(tmp_path, attempt, STATE)
    (tmp_path / "attempt-00000005.tmp").write_text("{")  # it died while it wrote this
    assert await found((await opened(tmp_path, 5, STATE)).journal, 1) == [1]


async def test_the_same_attempt_goes_on_behind_a_torn_line(tmp_path: Path) -> None:
    await append((await opened(tmp_path, 1, STATE)).journal, 1, 2)
    (file,) = tmp_path.glob("step-*")
    file.write_bytes(file.read_bytes()[:-5])
    again = await opened(tmp_path, 1, STATE)
    await append(again.journal, 3)
    third = await opened(tmp_path, 2, STATE)
    assert await found(third.journal, 1, 2, 3) == [1, 3]
    assert third.counts["journal_dropped"] == 0


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
