"""How a state becomes a checkpoint: all of it where nobody looks, then one atomic act."""

import asyncio
import logging
from collections.abc import Awaitable
from typing import Protocol

from prorl_trainer.checkpoint.documents import documents
from prorl_trainer.checkpoint.manifest import REFERENCE, SHARDS, FileEntry, Manifest
from prorl_trainer.checkpoint.medium import Draft, Medium
from prorl_trainer.checkpoint.opening import set_aside
from prorl_trainer.checkpoint.references import ReferenceCopies
from prorl_trainer.checkpoint.state import RunState
from prorl_trainer.errors import CheckpointError
from prorl_trainer.types import ShardFiles

log = logging.getLogger(__name__)

Files = dict[str, FileEntry]
"""By their names in the manifest."""


class WriteShards(Protocol):
    """Writes the learners' files to a place that a draft names."""

    def __call__(self, place: str, *, reference: bool) -> Awaitable[ShardFiles]:
        """`reference`: those of the frozen reference too."""
        ...


class Commit:
    """One state, by one attempt. Errors are StorageError, and CheckpointError for a stale one."""

    def __init__(
        self, medium: Medium, attempt: int, references: ReferenceCopies, state: RunState
    ) -> None:
        self._medium = medium
        self._attempt = attempt
        self._references = references
        self._state = state
        self._step, self._version = state.step, state.reference.version

    async def run(self, write_shards: WriteShards, now: float) -> Manifest:
        """The shards' hashes are their writers' word until the checkpoint is loaded; reading them
        all back here would double the time of a save. Sizes are compared now."""
        draft = await asyncio.to_thread(self._begin)
        try:
            source, shared = await asyncio.to_thread(self._share, draft)
            shards = await write_shards(draft.shards, reference=source is None)
            manifest = await asyncio.to_thread(self._finish, draft, shards, shared, now)
        except BaseException:
            draft.discard()
            raise
        # A newer attempt that claimed before our last act has perhaps not seen the result.
        await asyncio.to_thread(self._refuse_if_replaced)
        self._references.committed(self._step, self._version, source)
        return manifest

    def _begin(self) -> Draft:
        # Ranks that outlived a lost one may have written on into what was removed.
        self._medium.sweep(self._attempt)
        return self._medium.begin(self._step, self._attempt)

    def _share(self, draft: Draft) -> tuple[int | None, Files]:
        """The checkpoint that the reference was taken from, and its files; none: it must be
        written."""
        source = self._references.source(self._version, self._medium.steps())
        if source is None:
            return None, {}
        try:
            manifest = self._medium.manifest(source)
        except ValueError as error:
            log.warning("the reference is written anew: %s: %s", self._medium.name(source), error)
            return None, {}
        start = f"{SHARDS}/{REFERENCE}/"
        files = {name: e for name, e in manifest.files.items() if name.startswith(start)}
        return (source, files) if files and draft.share(manifest, files) else (None, {})

    def _finish(self, draft: Draft, shards: ShardFiles, shared: Files, now: float) -> Manifest:
        manifest = Manifest(
            step=self._step, attempt=self._attempt, job_uid=self._state.job_uid, created=now,
            data=draft.data, files=self._files(draft, shards, shared),
        )  # fmt: skip
        draft.seal(manifest)
        self._refuse_if_replaced()
        self._make_way()
        draft.publish()
        return manifest

    def _files(self, draft: Draft, shards: ShardFiles, shared: Files) -> Files:
        found = {name: draft.write(name, data) for name, data in documents(self._state).items()}
        written = {f"{SHARDS}/{name}": entry for name, entry in shards.files.items()}
        taken = {name: (entry.size_bytes, entry.checksum) for name, entry in shared.items()}
        for name, entry in sorted((written | taken).items()):
            found[name] = draft.accept(name, *entry)
        return found

    def _refuse_if_replaced(self) -> None:
        newest = max(self._medium.claims(), default=0)
        if newest > self._attempt:
            raise CheckpointError(
                f"Attempt {self._attempt} may not commit {self._medium.name(self._step)}: attempt "
                f"{newest} has taken over."
            )

    def _make_way(self) -> None:
        """An older attempt may have committed this step after we had loaded an earlier one."""
        if self._step not in self._medium.steps():
            return
        try:
            attempt = self._medium.manifest(self._step).attempt
        except ValueError as error:
            set_aside(self._medium, self._step, str(error))
            return
        if attempt >= self._attempt:
            raise CheckpointError(
                f"{self._medium.name(self._step)} exists already, written by attempt {attempt}; a "
                "checkpoint is never overwritten."
            )
        reason = f"of attempt {attempt}, superseded by {self._attempt}"
        set_aside(self._medium, self._step, reason)
