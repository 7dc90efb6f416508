"""The checkpoint store: which checkpoints there are, which one may be loaded, and the commit.

Layout: DIRECTORY/step-00000042/{manifest.json, state.json, carried.json, shards/...}. A directory
with another name is no checkpoint: `.tmp-` is being written, `.bad-` was quarantined.
Commit: write and fsync everything in a temporary directory, manifest last, rename, fsync the
parent, then prune. A crash at any point leaves the previous checkpoint or the new one.
"""

import asyncio
import logging
import re
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from prorl_api.spec_lifecycle import Resume

from prorl_trainer.checkpoint import fence
from prorl_trainer.checkpoint.documents import documents, read_state
from prorl_trainer.checkpoint.files import Files, storage_errors
from prorl_trainer.checkpoint.manifest import (
    MANIFEST,
    SHARDS,
    FileEntry,
    Manifest,
    read_manifest,
    sha256,
    verify,
)
from prorl_trainer.checkpoint.prune import healthy, prune
from prorl_trainer.checkpoint.state import RunState
from prorl_trainer.errors import CheckpointError, StorageError, one_line
from prorl_trainer.types import ShardFiles

log = logging.getLogger(__name__)

STEP_NAME = re.compile(r"^step-(\d{8})$")
MIN_KEEP = 2

WriteShards = Callable[[Path], Awaitable[ShardFiles]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """A committed checkpoint."""

    directory: Path
    manifest: Manifest
    state: RunState

    @property
    def shards(self) -> Path:
        """What the learners load from."""
        return self.directory / SHARDS


class CheckpointStore:
    """Checkpoints of one job in one directory. One attempt writes at a time."""

    def __init__(self, directory: Path, *, keep: int, files: Files | None = None) -> None:
        self._directory = directory
        self._keep = max(MIN_KEEP, keep)
        self._files = files or Files()
        self._attempt = 0
        self.last_step: int | None = None
        """Step of the checkpoint that was committed or loaded last."""

    def open_for_attempt(self, attempt: int | None, job_uid: str = "") -> int:
        """Claims the store: from now on no older attempt can commit. None takes the next number.

        Attempts are counted per job object; a job that was deleted and created anew begins again
        with 1, so inside the store its attempts go on after those of the former one.
        Returns the attempt. Raises CheckpointError if a newer one has claimed it, StorageError.
        """
        with storage_errors(self._directory):
            self._files.make_directory(self._directory)
            self._attempt = fence.claim(self._directory, attempt, job_uid, self._files)
            self._sweep("step-*.tmp-*")
        return self._attempt if attempt is None else attempt

    def load(self, resume: Resume) -> Checkpoint | None:
        """The newest checkpoint that verifies; None where there never was one.

        A broken one is quarantined and the one before is used. Raises CheckpointError when all are
        broken, when resume is None beside existing ones, or when a newer version wrote it;
        StorageError when one cannot be read at all.
        """
        found = self._steps()
        if resume is Resume.NONE and found:
            raise CheckpointError(
                f"checkpoint.resume is None, but {self._directory} has {len(found)} checkpoints "
                f"(newest: step {found[-1][0]}). Use Latest, or another job name or claim."
            )
        for step, directory in reversed(found):
            try:
                checkpoint = self._open(step, directory)
            except OSError as error:
                raise StorageError(
                    f"{directory} cannot be read: {error.strerror}. It was left as it is."
                ) from error
            except ValueError as error:
                self._quarantine(directory, str(error))
            else:
                self.last_step = step
                return checkpoint
        if found or any(self._directory.glob("*.bad-*")):
            raise CheckpointError(
                f"None of the checkpoints in {self._directory} can be loaded; they were kept as "
                "*.bad-*. Remove them to start from step 0."
            )
        return None

    async def commit(self, state: RunState, write_shards: WriteShards, now: float) -> Manifest:
        """Makes the state durable. Raises StorageError, CheckpointError (stale attempt).

        The shards' hashes are their writers' word until the checkpoint is loaded; reading them
        all back here would double the time of a save. Sizes are compared now.
        """
        target = self._directory / f"step-{state.step:08d}"
        temporary = target.with_name(f"{target.name}.tmp-{self._attempt}-{uuid.uuid4().hex[:8]}")
        try:
            with storage_errors(target):
                # Ranks that outlived a lost one may have written on into what was removed.
                self._sweep(f"step-*.tmp-{self._attempt}-*")
                self._files.make_directory(temporary / SHARDS)
                shards = await write_shards(temporary / SHARDS)
            manifest = await asyncio.to_thread(self._finish, temporary, target, state, shards, now)
        except BaseException:
            self._discard(temporary)
            raise
        self.last_step = state.step
        await asyncio.to_thread(self._prune, state)
        return manifest

    def _finish(
        self, temporary: Path, target: Path, state: RunState, shards: ShardFiles, now: float
    ) -> Manifest:
        with storage_errors(target):
            manifest = self._seal(temporary, state, shards, now)
            self._rename(temporary, target)
        return manifest

    def _seal(self, directory: Path, state: RunState, shards: ShardFiles, now: float) -> Manifest:
        entries = {}
        for name, data in documents(state).items():
            self._files.write(directory / name, data)
            entries[name] = FileEntry(size_bytes=len(data), sha256=sha256(directory / name))
        for name, (size, digest) in sorted(shards.files.items()):
            path = directory / SHARDS / name
            if path.stat().st_size != size:
                raise StorageError(f"{path} has {path.stat().st_size} bytes, {size} were written.")
            self._files.sync(path)  # its rank did so too, but on another node perhaps
            entries[f"{SHARDS}/{name}"] = FileEntry(size_bytes=size, sha256=digest)
        manifest = Manifest(
            step=state.step,
            attempt=self._attempt,
            job_uid=state.job_uid,
            created=now,
            files=entries,
        )
        self._files.sync(directory / SHARDS)
        self._files.write(directory / MANIFEST, manifest.model_dump_json(by_alias=True).encode())
        self._files.sync(directory)
        return manifest

    def _rename(self, temporary: Path, target: Path) -> None:
        newest = fence.newest(self._directory)
        if newest > self._attempt:
            raise CheckpointError(
                f"Attempt {self._attempt} may not commit {target.name}: attempt {newest} has "
                "taken over."
            )
        if target.exists():
            self._make_way(target)
        self._files.rename(temporary, target)
        self._files.sync(self._directory)

    def _make_way(self, target: Path) -> None:
        """An older attempt may have committed this step after we had loaded an earlier one."""
        try:
            attempt = read_manifest(target).attempt
        except ValueError as error:
            self._quarantine(target, str(error))
            return
        if attempt >= self._attempt:
            raise CheckpointError(
                f"{target} exists already, written by attempt {attempt}; a checkpoint is never "
                "overwritten."
            )
        self._quarantine(target, f"of attempt {attempt}, superseded by {self._attempt}")

    def open(self, step: int) -> Checkpoint:
        """The checkpoint of this step, every byte verified. Raises CheckpointError."""
        directory = self._directory / f"step-{step:08d}"
        try:
            return self._open(step, directory)
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{directory} cannot be used: {one_line(error)}") from error

    def _prune(self, state: RunState) -> None:
        steps, since = self._steps(), state.guard.since
        spared = {*state.best_steps, *healthy(steps, since)}
        prune(steps, keep=self._keep, spared=spared, files=self._files)

    def roll_back(self, before: int) -> Checkpoint:
        """The newest checkpoint from before this step; later ones are set aside, the newest first.
        Raises CheckpointError, and leaves all as they are, when there is none or it is broken."""
        steps = self._steps()
        found = healthy(steps, before)
        if not found:
            raise CheckpointError(f"{self._directory} has no checkpoint from before step {before}.")
        checkpoint = self.open(found[0])
        for step, directory in reversed(steps):
            if step > found[0]:
                self._quarantine(directory, f"rolled back to step {found[0]}")
        self.last_step = found[0]
        return checkpoint

    def _open(self, step: int, directory: Path) -> Checkpoint:
        manifest = verify(directory)
        state = read_state(directory, manifest.files)
        if not step == manifest.step == state.step:
            raise ValueError(f"manifest and state are of steps {manifest.step} and {state.step}")
        return Checkpoint(directory=directory, manifest=manifest, state=state)

    def _steps(self) -> list[tuple[int, Path]]:
        if not self._directory.is_dir():
            return []
        matches = ((STEP_NAME.match(p.name), p) for p in self._directory.iterdir())
        return sorted((int(m[1]), p) for m, p in matches if m)

    def _quarantine(self, directory: Path, reason: str) -> None:
        log.error("checkpoint=%s quarantined: %s", directory.name, reason)
        with storage_errors(directory):
            bad = directory.with_name(f"{directory.name}.bad-{uuid.uuid4().hex[:8]}")
            self._files.rename(directory, bad)

    def _sweep(self, pattern: str) -> None:
        """Removes what was left half-written; whoever still writes to it may get in the way."""
        for leftover in self._directory.glob(pattern):
            self._discard(leftover)

    def _discard(self, temporary: Path) -> None:
        try:
            self._files.remove_tree(temporary)
        except OSError as error:
            log.warning("checkpoint=%s not removed: %s", temporary.name, error)
