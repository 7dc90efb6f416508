"""The journal's files: what is found, whose it is, and what a replaced attempt can do to it."""

from collections import Counter
from pathlib import Path

import pytest
from journal_builders import append, found, keys_in, make_key, make_record, opened
from prorl_trainer.errors import CheckpointError
from prorl_trainer.journal.record import encode
from scripted_rollout import START

KEY = make_key()
RECORD = make_record(KEY)
STATE = START.model_copy(update={"step": KEY.step})


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
    first.journal.forget(4).result()
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
