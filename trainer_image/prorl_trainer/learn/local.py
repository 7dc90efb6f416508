"""All learner ranks in this process: one, without Ray. For tests of everything above it."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from torch import Tensor

from prorl_trainer.learn.learner import Learner, RankSettings
from prorl_trainer.protocols import Engine
from prorl_trainer.types import ShardFiles, TrainingBatch, UpdateResult, UpdateSettings


class LocalEngine(Engine, Protocol):
    """An engine in this process that takes tensors directly."""

    def load_weights(self, weights: Sequence[tuple[str, Tensor]], version: str) -> None:
        """Replaces all weights."""
        ...


class InProcessLearnerGroup:
    """protocols.LearnerGroup with one rank."""

    def __init__(self, model_dir: Path, seed: int = 0) -> None:
        self.learner = Learner(
            RankSettings(
                rank=0,
                world_size=1,
                master_address="",
                master_port=0,
                model_dir=str(model_dir),
                seed=seed,
                device="cpu",
            )
        )

    async def update(self, batch: TrainingBatch, settings: UpdateSettings) -> UpdateResult:
        """See protocols.LearnerGroup."""
        return self.learner.update(batch, settings)

    async def publish(self, engines: Sequence[LocalEngine], version: str) -> None:
        """Copies the tensors."""
        for engine in engines:
            engine.load_weights(list(self.learner.named_weights()), version)

    async def reset_reference(
        self, *, source: str | None = None, clear_optimizer: bool = False
    ) -> None:
        """See protocols.LearnerGroup."""
        self.learner.reset_reference(source, clear_optimizer)

    async def stage(self) -> None:
        """See protocols.LearnerGroup."""
        self.learner.stage()

    async def write(self, place: str, *, reference: bool = True) -> ShardFiles:
        """See protocols.LearnerGroup."""
        return await asyncio.to_thread(self.learner.write, place, reference)

    async def load(self, place: str) -> None:
        """See protocols.LearnerGroup."""
        self.learner.load(place)

    async def close(self) -> None:
        """Frees the rank."""
        self.learner.close()
