"""What the loop asks of the checkpoint store and of whoever controls the run."""

import asyncio
from collections.abc import Awaitable, Callable

from prorl_api.spec_lifecycle import Resume
from prorl_api.wire import Stage

from prorl_trainer.algo.staleness import refuse_other
from prorl_trainer.checkpoint.manifest import Manifest
from prorl_trainer.checkpoint.state import RunState
from prorl_trainer.control import Control
from prorl_trainer.desk import Desk
from prorl_trainer.observe.status import StatusHolder
from prorl_trainer.protocols import LearnerGroup
from prorl_trainer.saves import Saves
from prorl_trainer.types import Completion, OnCompletion


def only_of(version: Callable[[], str], taken: OnCompletion) -> OnCompletion:
    """Hands on what the weights of now have written. Raises for any other completion."""

    def checked(completion: Completion) -> None:
        refuse_other([completion], version())
        taken(completion)

    return checked


class StopRequested(Exception):
    """Everything is saved; the run ends with exit code STOPPED."""


async def answer(
    state: RunState,
    *,
    control: Control,
    saves: Saves,
    save: Callable[[RunState], Awaitable[None]],
) -> dict[str, str]:
    """Makes the state durable if anybody waits for that. Returns the trainers that may go then:
    name -> address. Raises StopRequested, and what an earlier save has failed with."""
    saves.check()
    if not control.save_requested:
        return {}
    await saves.settle()
    if saves.store.last_step != state.step:
        await save(state)
        await saves.settle()
    leaving = control.saved(state.step)
    if control.stop_requested:
        raise StopRequested(f"Stopped on request after step {state.step}.")
    return leaving


async def shards_of(step: int, *, saves: Saves) -> str:
    """The learners' files of the checkpoint of this step, verified. Raises CheckpointError."""
    await saves.settle()
    return (await asyncio.to_thread(saves.store.open, step)).shards


async def roll_back(
    state: RunState,
    *,
    saves: Saves,
    learners: LearnerGroup,
    status: StatusHolder,
    found: Callable[[Manifest], None],
) -> RunState:
    """Loads the last healthy checkpoint into the learners and returns its state; later checkpoints
    are set aside, and `found` is told which one stands. Raises CheckpointError when there is none.
    """
    assert state.guard.since is not None
    status.stage(Stage.RECOVERING, "Going back to the last healthy checkpoint")
    await saves.settle()
    checkpoint = await asyncio.to_thread(saves.store.roll_back, state.guard.since)
    found(checkpoint.manifest)
    await learners.load(checkpoint.shards)
    return checkpoint.state


async def wait_for_resume(
    state: RunState,
    *,
    control: Control,
    status: StatusHolder,
    at_safe_point: Callable[[RunState], Awaitable[None]],
) -> None:
    """Returns when somebody says Resume or changes the guard; whoever asks for a stop or leave is
    answered meanwhile."""
    assert state.guard.paused_by is not None
    why = f"{state.guard.last.message} " if state.guard.last else ""
    wait = "Waiting for the command Resume or another spec.guard (docs/health.md)."
    status.stage(Stage.PAUSED, why + wait)
    control.pause(state.guard.paused_by)
    while control.paused:
        await at_safe_point(state)
        if control.paused and not control.save_requested:
            await control.changed()
    status.stage(Stage.TRAINING)


async def go_on(desk: Desk, learners: LearnerGroup, first: RunState) -> RunState:
    """The state that the run goes on from, with the last checkpoint loaded into the learners and
    the journal open: `first` where there never was one. Raises CheckpointError, StorageError."""
    state, checkpoint = first, await asyncio.to_thread(desk.store.load, Resume.LATEST)
    if checkpoint is not None:
        desk.status.message(f"Loading the checkpoint of step {checkpoint.manifest.step}")
        await learners.load(checkpoint.shards)
        state = checkpoint.state
        desk.control.durable(state, finished=state.step)
    await desk.journal.open(state)
    return state
