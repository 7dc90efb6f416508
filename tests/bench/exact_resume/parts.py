"""The real parts of an attempt, which say when they are at work."""

import asyncio
import hashlib
import json
from pathlib import Path

from learner_rank import make_learner
from marks import Marks, Stage
from prorl_trainer.checkpoint.directory import Directory
from prorl_trainer.checkpoint.files import Files
from prorl_trainer.checkpoint.manifest import Manifest
from prorl_trainer.checkpoint.state import RunState
from prorl_trainer.checkpoint.store import CheckpointStore, WriteShards
from prorl_trainer.context import Context
from prorl_trainer.learn.local import InProcessLearnerGroup
from prorl_trainer.rollout.hf_engine import HfEngine
from prorl_trainer.types import (
    Completion,
    Prompt,
    TrainingBatch,
    UpdateResult,
    UpdateSettings,
    Verdict,
)
from prorl_verifier.domains.logic import grader

LEDGER = "ledger.jsonl"


def append(path: Path, line: str) -> None:
    """Survives the process from now on, whatever ends it."""
    with path.open("a") as file:
        file.write(line + "\n")


class Store(CheckpointStore):
    """Says when it is writing."""

    def __init__(self, context: Context, marks: Marks) -> None:
        super().__init__(Directory(context.checkpoints), keep=context.job.spec.checkpoint.keep)
        self._marks = marks

    async def commit(self, state: RunState, write_shards: WriteShards, now: float) -> Manifest:
        with self._marks.during(Stage.SAVING):
            return await super().commit(state, write_shards, now)


class JournalFiles(Files):
    """Say when a group is being written."""

    def __init__(self, marks: Marks) -> None:
        self._marks = marks

    def append(self, path: Path, data: bytes) -> None:
        with self._marks.during(Stage.JOURNAL):
            super().append(path, data)


class Judge:
    """protocols.Verifier around the verifier's own scorer."""

    def __init__(self, marks: Marks) -> None:
        self._marks = marks

    async def verify(self, prompt: Prompt, completion: Completion) -> Verdict:
        with self._marks.during(Stage.VERIFYING):
            score, reason = await asyncio.to_thread(
                lambda: grader(prompt.answer, prompt.meta)(completion.text)
            )
        return Verdict(score=score, reason=reason)


class Learners(InProcessLearnerGroup):
    """Write down what each step is trained on."""

    def __init__(self, model_dir: Path, directory: Path, marks: Marks) -> None:
        self.learner = make_learner(model_dir)
        self._ledger = directory / LEDGER
        self._marks = marks

    async def update(self, batch: TrainingBatch, settings: UpdateSettings) -> UpdateResult:
        with self._marks.during(Stage.LEARNING):
            trained = hashlib.sha256(repr((batch, settings)).encode()).hexdigest()
            append(self._ledger, json.dumps({"step": batch.step, "batch": trained}))
            return await super().update(batch, settings)

    async def stage(self) -> None:
        with self._marks.during(Stage.STAGING):
            await super().stage()

    async def reset_reference(
        self, *, source: str | None = None, clear_optimizer: bool = False
    ) -> None:
        with self._marks.during(Stage.RESET):
            await super().reset_reference(source=source, clear_optimizer=clear_optimizer)


class Engine(HfEngine):
    """pool_engine.PoolEngine; asks for nothing to be loaded first."""

    async def ready(self) -> None:
        """It is."""


class OnePlace:
    """pool_engine.PlaceList of this process."""

    def find(self) -> list[str]:
        return ["here/0"]

    def is_leaving(self, place: str) -> bool:
        return False
