"""What the loop works with, as Protocols: engines, learners, the verifier and the prompts.

Their records are those of types.py. Nothing here imports torch, ray or vllm.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from prorl_trainer.types import (
    Completion,
    GenerationRequest,
    OnCompletion,
    Prompt,
    ShardFiles,
    TrainingBatch,
    UpdateResult,
    UpdateSettings,
    Verdict,
)


class Engine(Protocol):
    """One generation engine (an actor in its own process, or in-process for tests)."""

    @property
    def name(self) -> str:
        """Stable for the life of the engine; a replacement has another."""
        ...

    async def generate(
        self, requests: Sequence[GenerationRequest], on_completion: OnCompletion
    ) -> None:
        """Draws one completion per request and hands each over when it ends, in any order. Raises
        EngineLostError; what was handed over until then stands."""
        ...


class LearnerGroup(Protocol):
    """All learner ranks, seen as one. Every method raises TrainerLostError when a rank is gone and
    NonFiniteError before any weight is changed by a non-finite loss or gradient."""

    async def update(self, batch: TrainingBatch, settings: UpdateSettings) -> UpdateResult:
        """Old and reference log-probs, then num_updates optimizer steps."""
        ...

    async def reset_reference(
        self, *, source: str | None = None, clear_optimizer: bool = False
    ) -> None:
        """Copies the policy (full precision) to the frozen reference: the current one, or that of
        the checkpoint whose shards are in `source`; the policy itself stays as it is.
        `clear_optimizer` zeroes both moments of Adam and its step counter. Raises CheckpointError,
        and changes nothing then."""
        ...

    async def stage(self) -> None:
        """Policy, optimizer and reference as they are now are what write writes: they are copied
        into host memory, and whatever changes them waits for that."""
        ...

    async def write(self, place: str, *, reference: bool = True) -> ShardFiles:
        """Writes shards of what was staged, of the reference or not, durable: into a directory, or
        below s3://BUCKET/PREFIX. Anything else but stage may be called meanwhile. Raises
        StorageError."""
        ...

    async def load(self, place: str) -> None:
        """Loads what write wrote, on any number of ranks. Raises CheckpointError."""
        ...


class Verifier(Protocol):
    """The client of the verification service."""

    async def verify(self, prompt: Prompt, completion: Completion) -> Verdict:
        """The verdict of one completion. Raises VerifierError if the service stays away."""
        ...


class PromptSource(Protocol):
    """The job's endless, deterministic order of training prompts, and its held-out sets."""

    def prompt(self, ordinal: int) -> Prompt:
        """The prompt at this place; a pure function of (seed, ordinal)."""
        ...

    def validation(self) -> Sequence[Prompt]:
        """All held-out prompts; ordinals are negative."""
        ...

    @property
    def fingerprints(self) -> Mapping[str, str]:
        """sha256 over the rows of each set, by its name; a checkpoint refuses another one."""
        ...
