"""Checkpoints are ordered by their steps and attempts; the clock only dates them."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from prorl_api.job import ProRLJobSpec
from prorl_api.spec_lifecycle import Resume
from prorl_trainer.checkpoint.directory import Directory
from prorl_trainer.checkpoint.listing import list_checkpoints
from prorl_trainer.checkpoint.store import CheckpointStore
from prorl_trainer.due import checkpoint_due
from prorl_trainer.errors import CheckpointError
from prorl_trainer.saves import Saves
from run_context import SET
from scripted_run import Run
from store_builders import commit, make_state, opened

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC).timestamp()
HOUR_S = 3600.0


@pytest.mark.parametrize(
    "jumps", [(HOUR_S, -HOUR_S, -HOUR_S), (0.0, -1.0, HOUR_S)], ids=["back", "back and on"]
)
def test_the_newest_checkpoint_is_that_of_the_highest_step_whatever_the_clock_said(
    tmp_path: Path, jumps: tuple[float, ...]
) -> None:
    directory, now = tmp_path, NOW
    for step, jump in enumerate(jumps, start=1):
        now += jump
        commit(opened(directory), step, now=now)
    found = CheckpointStore(Directory(directory), keep=2).load(Resume.LATEST)
    assert found is not None
    assert (found.state.step, found.manifest.attempt) == (len(jumps), len(jumps))
    kept = [row["step"] for row in list_checkpoints(Directory(directory), hashes=True)]
    assert kept == list(range(1, len(jumps) + 1))[-2:]


def test_an_attempt_that_is_replaced_stays_replaced_when_the_clock_goes_back(
    tmp_path: Path,
) -> None:
    first = opened(tmp_path, 1)
    commit(first, 1, now=NOW)
    commit(opened(tmp_path, 2), 2, now=NOW - HOUR_S)
    with pytest.raises(CheckpointError, match="attempt 2 has taken over"):
        commit(first, 3, now=NOW)


async def test_the_interval_in_seconds_is_not_the_wall_clocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = ProRLJobSpec.model_validate(
        {
            "model": {"uri": "tiny://llama"}, "data": {"train": [SET]},
            "checkpoint": {"everySteps": 1000, "everySeconds": 60},
        }
    )  # fmt: skip
    run, passed = Run(tmp_path, [0.1]), 0.0
    saves = Saves(run.store, run.durable, run.status.waiting, lambda: passed)
    for wall in (NOW, NOW - HOUR_S, NOW + HOUR_S):
        monkeypatch.setattr("time.time", lambda wall=wall: wall)
        assert not checkpoint_due(spec, make_state(1), saves.age_s())
    passed = 61.0
    assert checkpoint_due(spec, make_state(1), saves.age_s())


async def test_a_run_whose_clock_goes_back_at_every_look_ends_as_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = iter(range(10_000))
    monkeypatch.setattr("time.time", lambda: NOW - HOUR_S * next(looks))
    run = Run(tmp_path, [0.1], scores=[0.5])
    assert (await run.train()).step == 8
    assert run.steps_on_disk()[-2:] == [7, 8]
    records = run.records("step")
    assert [record["step"] for record in records] == list(range(1, 9))
    times = [record["time"] for record in run.records("checkpoint")]
    assert times == sorted(times, reverse=True), "the clock did go back"
    values = [record["values"] for record in run.records("checkpoint")]
    assert all(v["blocked_seconds"] >= 0 and v["write_seconds"] >= 0 for v in values)
