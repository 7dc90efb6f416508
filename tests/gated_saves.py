"""Saves over a real store, whose writers wait until they are let go."""

import asyncio
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from prorl_api.spec_lifecycle import Resume
from prorl_trainer import actions
from prorl_trainer.checkpoint.checksum import checksum_of
from prorl_trainer.checkpoint.directory import Directory
from prorl_trainer.checkpoint.state import RunState
from prorl_trainer.checkpoint.store import CheckpointStore
from prorl_trainer.control import Control
from prorl_trainer.errors import TrainingError
from prorl_trainer.saves import Saves, SaveTimes
from prorl_trainer.types import ShardFiles


class Learners:
    """`policy` is what they hold; a write waits for its gate, then does as `failures` says."""

    def __init__(self, failures: Sequence[TrainingError | None] = ()) -> None:
        self.policy = b"0"
        self.log: list[str] = []
        self.gate, self.at_gate = asyncio.Event(), asyncio.Event()
        self._failures = list(failures)
        self._staged = b""

    async def stage(self) -> None:
        self._staged = self.policy
        self.log.append(f"staged {self.policy.decode()}")

    async def write(self, place: str, *, reference: bool = True) -> ShardFiles:
        self.log.append("writing")
        self.at_gate.set()
        await self.gate.wait()
        self.at_gate.clear()
        failure = self._failures.pop(0) if self._failures else None
        if failure is not None:
            raise failure
        Path(place, "a").write_bytes(self._staged)
        self.log.append("written")
        return ShardFiles(files={"a": (1, checksum_of(self._staged))})

    async def load(self, place: str) -> None:
        self.policy = Path(place, "a").read_bytes()


class Desk:
    """Saves with what is around them."""

    def __init__(self, directory: Path, failures: Sequence[TrainingError | None] = ()) -> None:
        self.directory = directory
        self.now_s = 100.0
        self.store = CheckpointStore(Directory(directory), keep=2)
        self.store.open_for_attempt(1)
        self.learners = Learners(failures)
        self.told: list[tuple[int, SaveTimes]] = []
        self.saves = Saves(
            self.store,
            lambda m, _, times: self.told.append((m.step, times)),
            lambda _: nullcontext(),
            lambda: self.now_s,
        )
        self.control = Control()

    async def save(self, state: RunState) -> None:
        self.learners.policy = str(state.step).encode()
        await self.saves.begin(state, self.learners)  # type: ignore[arg-type]

    async def answer(self, state: RunState) -> dict[str, str]:
        return await actions.answer(state, control=self.control, saves=self.saves, save=self.save)

    def found_by_another(self) -> int | None:
        """Step that a new process would go on from."""
        found = CheckpointStore(Directory(self.directory), keep=2).load(Resume.LATEST)
        return None if found is None else found.state.step


def make_state(step: int) -> RunState:
    return RunState(job_uid="u", job_name="j", spec_hash="h", step=step)


async def until_writing(desk: Desk) -> None:
    """The commit, which has threads of its own, stands at the gate; all others got on."""
    await desk.learners.at_gate.wait()
    for _ in range(9):
        await asyncio.sleep(0)
