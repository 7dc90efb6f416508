"""The checkpoint store: which checkpoint may be loaded, who may write, and what is kept.

Commit: everything is written where nobody looks for it, the manifest last; then one atomic act
makes it a checkpoint (medium.Draft.publish), then the old ones are pruned. A crash at any point
leaves the previous checkpoint or the new one.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

from prorl_api.spec_lifecycle import Resume, ResumeFrom

from prorl_trainer.checkpoint.commit import Commit, WriteShards
from prorl_trainer.checkpoint.fence import claimed_number, refuse_other_spec, stale_steps
from prorl_trainer.checkpoint.manifest import Manifest
from prorl_trainer.checkpoint.medium import Medium
from prorl_trainer.checkpoint.opening import Checkpoint, read_checkpoint, set_aside
from prorl_trainer.checkpoint.prune import dispensable, healthy
from prorl_trainer.checkpoint.references import ReferenceCopies
from prorl_trainer.checkpoint.state import RunState
from prorl_trainer.errors import CheckpointError, StorageError, one_line

log = logging.getLogger(__name__)

Accept = Callable[[Checkpoint], object]
"""Raises if the run may not go on from it."""


class CheckpointStore:
    """Checkpoints of one job in one place. One attempt writes at a time."""

    def __init__(self, medium: Medium, *, keep: int, durable_step: int | None = None) -> None:
        self._medium = medium
        self.keep = keep
        self._references = ReferenceCopies()
        self._attempt = 0
        self._own: set[int] = set()
        """Attempts of this job, by their numbers in the store."""
        self.last_step = durable_step
        """Of the checkpoint committed or loaded last; before, of the last that others know of."""

    @property
    def writer(self) -> int:
        """The number under which this attempt writes; the store's own count (fence.py)."""
        return self._attempt

    def open_for_attempt(
        self, attempt: int | None, job_uid: str = "", spec_hash: str | None = None
    ) -> int:
        """Claims the store: from now on no older attempt can commit. None takes the next number.

        Attempts are counted per job object; a job that was deleted and created anew begins again
        with 1, so inside the store its attempts go on after the former's. Returns the attempt.
        Raises CheckpointError if a newer one has claimed it or, given the hash of the job's spec,
        if a job of another spec has; StorageError.
        """
        medium = self._medium
        medium.prepare()
        claims = medium.claims()
        self._attempt = claimed_number(claims, attempt, job_uid, medium.place)
        if spec_hash is not None and job_uid not in claims.values():
            self._refuse_other_spec(spec_hash)
        self._own = {number for number, owner in claims.items() if owner == job_uid}
        medium.claim(self._attempt, job_uid)
        medium.sweep(None)
        return self._attempt if attempt is None else attempt

    def _refuse_other_spec(self, spec_hash: str) -> None:
        """A claim stops whoever writes here: one that cannot go on from there must not do so."""
        for step in reversed(self._medium.steps()):
            with suppress(ValueError):
                found = read_checkpoint(self._medium, step, hashes=False)
                return refuse_other_spec(found.name, found.state, spec_hash)

    def load(self, resume: ResumeFrom, accept: Accept = lambda _: None) -> Checkpoint | None:
        """What the job goes on from, by default the newest checkpoint that verifies; None where
        there never was one. `resume` counts until one of the job's own attempts has made one.
        Nothing is set aside for `resume` before the checkpoint is accepted.

        A broken one is set aside and the one before is used; so is one that a replaced attempt
        committed after all. Raises CheckpointError when all are broken, when `resume` does not fit
        what is there, or when another version wrote it; StorageError when one cannot be read.
        """
        found = self._medium.steps()
        attempts = self._attempts(found)
        if self._own.intersection(attempt for _, attempt in attempts):
            resume = Resume.LATEST
        if resume is Resume.NONE and found:
            raise CheckpointError(
                f"checkpoint.resume is None, but {self._medium.place} has {len(found)} checkpoints "
                f"(newest: step {found[-1]}). Use Latest, or another job name or claim."
            )
        for step in stale_steps(attempts):
            set_aside(self._medium, step, "an attempt that had been replaced wrote it")
            found.remove(step)
        if isinstance(resume, int):
            return self._resume_at(resume, found, accept)
        for step in reversed(found):
            try:
                checkpoint = self._open(step)
            except ValueError as error:
                set_aside(self._medium, step, str(error))
                continue
            accept(checkpoint)
            return self._loaded(checkpoint)
        if found or self._medium.aside():
            raise CheckpointError(
                f"None of the checkpoints in {self._medium.place} can be loaded; they were kept as "
                "*.bad-*. Remove them to start from step 0."
            )
        if self.last_step is not None:
            raise StorageError(
                f"The checkpoint of step {self.last_step} was durable in {self._medium.place}, and "
                "is not there any more, nor is another one. Bring the storage back, or delete the "
                "job and create it anew to start from step 0."
            )
        return None

    def _resume_at(self, step: int, found: list[int], accept: Accept) -> Checkpoint:
        if step not in found:
            raise CheckpointError(
                f"checkpoint.resume is {step}, but {self._medium.place} has no checkpoint of that "
                f"step; it has {', '.join(map(str, found)) or 'none'}."
            )
        return self._go_back(step, f"checkpoint.resume is {step}", accept)

    def _go_back(self, step: int, reason: str, accept: Accept = lambda _: None) -> Checkpoint:
        """Opens it, then sets later ones aside, the newest first: a crash leaves no gap. Raises
        CheckpointError, and leaves all as they are, when it is broken."""
        checkpoint = self.open(step)
        accept(checkpoint)
        for later in reversed(self._medium.steps()):
            if later > step:
                set_aside(self._medium, later, reason)
        return self._loaded(checkpoint)

    def _loaded(self, checkpoint: Checkpoint) -> Checkpoint:
        state = checkpoint.state
        self.last_step = state.step
        self._references.loaded(state.step, state.reference.version)
        return checkpoint

    def _attempts(self, steps: list[int]) -> list[tuple[int, int]]:
        found = []
        for step in steps:
            with suppress(ValueError):  # such a one is set aside when it is its turn to be loaded
                found.append((step, self._medium.manifest(step).attempt))
        return found

    async def commit(self, state: RunState, write_shards: WriteShards, now: float) -> Manifest:
        """Makes the state durable. Raises StorageError, CheckpointError (stale attempt)."""
        commit = Commit(self._medium, self._attempt, self._references, state)
        manifest = await commit.run(write_shards, now)
        self.last_step = state.step
        await asyncio.to_thread(self._prune, state)
        return manifest

    def open(self, step: int) -> Checkpoint:
        """The checkpoint of this step, every byte verified. Raises CheckpointError if it is
        missing or broken, StorageError if that cannot be told."""
        try:
            return self._open(step)
        except ValueError as error:
            name = self._medium.name(step)
            raise CheckpointError(f"{name} cannot be used: {one_line(error)}") from error

    def _prune(self, state: RunState) -> None:
        """Only once the newest one reads back as complete."""
        try:
            steps = self._medium.steps()
            newest = steps[-1]
            self._medium.check(newest, self._medium.manifest(newest), hashes=False)
            spared = {*state.best_steps, *healthy(steps, state.guard.since)}
            for step in dispensable(steps, keep=self.keep, spared=spared):
                self._medium.remove(step)
        except (StorageError, ValueError) as error:
            log.warning("checkpoints in %s were not pruned: %s", self._medium.place, error)

    def roll_back(self, before: int) -> Checkpoint:
        """The newest checkpoint from before this step; later ones are set aside. Raises
        CheckpointError, and leaves all as they are, when there is none or it is broken."""
        found = healthy(self._medium.steps(), before)
        if not found:
            raise CheckpointError(
                f"{self._medium.place} has no checkpoint from before step {before}."
            )
        return self._go_back(found[0], f"rolled back to step {found[0]}")

    def _open(self, step: int) -> Checkpoint:
        return read_checkpoint(self._medium, step, hashes=True)
