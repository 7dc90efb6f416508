"""A storage that takes longer for a checkpoint than the steps between two of them take."""

import asyncio
from pathlib import Path

from prorl_api.wire import Stage
from prorl_trainer.saves import Saves
from prorl_trainer.types import ShardFiles
from scripted_run import Run, ScriptedLearners

TEN_MB_S = 10e6
STATE_BYTES = 1.5e9 * 16
"""Of a model with 1.5 B parameters."""


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class SlowWriter(ScriptedLearners):
    """Writes when the storage lets it."""

    def __init__(self) -> None:
        super().__init__([0.1])
        self.gate = asyncio.Event()
        self.writing = 0

    async def write(self, place: str, *, reference: bool = True) -> ShardFiles:
        self.writing += 1
        await self.gate.wait()
        return await super().write(place, reference=reference)


def slow_run(directory: Path, *, every: int = 3) -> tuple[Run, SlowWriter, Clock]:
    """8 steps with a checkpoint after every third and the last one."""
    run, learners, clock = Run(directory, [0.1], every=every), SlowWriter(), Clock()
    run.learners = learners
    run.saves = Saves(run.store, run.durable, run.status.waiting, clock)
    return run, learners, clock


async def until_waiting(run: Run) -> str:
    """What status says then, and the learners are writing."""
    while not (said := run.status.document().message) or not run.learners.writing:
        await asyncio.sleep(0)
    return said


def gauge(run: Run, name: str) -> float | None:
    return run.desk.metrics.registry.get_sample_value(f"prorl_checkpoint_{name}")


async def test_steps_go_on_until_the_next_checkpoint_which_waits_and_says_so(
    tmp_path: Path,
) -> None:
    run, learners, clock = slow_run(tmp_path)
    training = asyncio.create_task(run.train())
    assert await until_waiting(run) == "Waiting until the checkpoint of step 3 is durable"
    assert [record["step"] for record in run.records("step")] == [1, 2, 3, 4, 5, 6]
    assert run.status.document().stage is Stage.TRAINING
    assert learners.writing == 1
    assert gauge(run, "write_seconds") is None
    clock.now = STATE_BYTES / TEN_MB_S
    learners.gate.set()
    assert (await training).step == 8
    times = [record["values"] for record in run.records("checkpoint")]
    assert [t["write_seconds"] for t in times] == [2400.0, 0.0, 0.0]
    assert [t["blocked_seconds"] for t in times] == [0.0, 2400.0, 0.0]
    assert run.steps_on_disk() == [6, 8]
    assert run.status.document().message == ""


async def test_the_end_waits_for_the_last_checkpoint_and_says_so(tmp_path: Path) -> None:
    run, learners, _ = slow_run(tmp_path, every=100)
    training = asyncio.create_task(run.train())
    assert await until_waiting(run) == "Waiting until the checkpoint of step 8 is durable"
    assert len(run.records("step")) == 8
    learners.gate.set()
    await training
    assert run.steps_on_disk() == [8]


def test_a_wait_leaves_what_was_said_before_it(tmp_path: Path) -> None:
    status = slow_run(tmp_path)[0].status
    status.stage(Stage.RECOVERING, "Rank 1 is gone")
    with status.waiting("Waiting"):
        assert status.document().message == "Waiting"
    assert status.document().message == "Rank 1 is gone"
    with status.waiting("Waiting"):
        status.stage(Stage.DONE, "Stopped")
    assert status.document().message == "Stopped"
