"""Checkpoints behind the loop's back: it waits while its state is staged, not for the writing."""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from prorl_trainer.checkpoint.manifest import Manifest
from prorl_trainer.checkpoint.state import RunState
from prorl_trainer.checkpoint.store import CheckpointStore
from prorl_trainer.errors import TrainingError
from prorl_trainer.protocols import LearnerGroup

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class SaveTimes:
    """Of one save, in seconds."""

    blocked: float
    """The loop waited: for the save before, and until the state was staged."""
    written: float
    """From then on until the checkpoint was durable."""


class Saves:
    """At most one save is in flight. What it fails with is raised by whatever is asked next, and
    again until `end`: the loop must not go on for long without checkpoints."""

    def __init__(
        self,
        store: CheckpointStore,
        durable: Callable[[Manifest, RunState, SaveTimes], None],
        waiting: Callable[[str], AbstractContextManager[None]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`durable` is told of each checkpoint once it is one, `waiting` what is waited for.
        `clock` is in seconds."""
        self.store = store
        self._durable = durable
        self._waiting = waiting
        self._clock = clock
        self._flight: asyncio.Task[None] | None = None
        self._step = 0
        """Of the save in flight."""
        self._begun = clock()

    def age_s(self) -> float:
        """Seconds since the last save was begun, or since this was made."""
        return self._clock() - self._begun

    async def begin(self, state: RunState, learners: LearnerGroup) -> None:
        """Returns when the state is staged. Raises what the save before has failed with."""
        start = self._clock()
        await self.settle()
        await learners.stage()
        self._begun, self._step = self._clock(), state.step
        blocked = self._begun - start
        self._flight = asyncio.create_task(self._write(state, learners, blocked))

    async def _write(self, state: RunState, learners: LearnerGroup, blocked: float) -> None:
        start = self._clock()
        manifest = await self.store.commit(state, learners.write, time.time())
        times = SaveTimes(blocked=blocked, written=self._clock() - start)
        self._durable(manifest, state, times)

    def check(self) -> None:
        """Raises what the last save has failed with, if it has ended."""
        if self._flight is not None and self._flight.done():
            self._flight.result()

    async def settle(self) -> None:
        """Returns when nothing is being written any more: what was saved is durable. Raises
        StorageError, CheckpointError, TrainerLostError."""
        if self._flight is None:
            return
        if not self._flight.done():
            with self._waiting(f"Waiting until the checkpoint of step {self._step} is durable"):
                # Whoever is cancelled here does not cancel the save.
                await asyncio.wait({self._flight})
        self._flight.result()

    async def end(self) -> None:
        """Waits too, for nobody who could be told of a failure: the run ends, or begins anew from
        the last checkpoint."""
        try:
            await self.settle()
        except TrainingError as error:
            log.error("the last save has failed: %s", error)
        self._flight = None
