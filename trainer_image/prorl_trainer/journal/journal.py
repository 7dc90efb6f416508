"""The journal: what a step has finished is there when the step begins again.

Whoever draws a group asks a page for it first, and leaves it there when it is judged. Rounds of
dynamic sampling, what is kept and what is carried are functions of the state and of the groups, so
the step comes to the same batch, whether its groups were drawn just now or taken from here.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from prorl_trainer.algo.staleness import oldest
from prorl_trainer.checkpoint.state import RunState
from prorl_trainer.errors import StorageError, WeightSyncError
from prorl_trainer.journal.directory import Found, JournalDirectory, Place
from prorl_trainer.journal.record import Key, Record, decode, encode, group_name, lineage
from prorl_trainer.types import GenerationRequest, Group, Prompt

log = logging.getLogger(__name__)
T = TypeVar("T")

MAX_GROUPS_PER_WRITE = 64
"""They are in memory as text: about a MiB each with 16 responses of 4,096 tokens."""

Count = Callable[[str, float], None]
"""Adds to a counter of observe.metrics."""


class Journal:
    """Of one attempt. Its files are touched by a thread of its own: nothing waits for a disk but
    who has finished a group, and what is finished meanwhile shares one fsync."""

    def __init__(self, directory: JournalDirectory, *, max_staleness: int, count: Count) -> None:
        self._directory = directory
        self._max_staleness = max_staleness
        self._count = count
        self._found = Found()
        self._finished: deque[tuple[Key, Record]] = deque()
        self._failure: StorageError | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal")

    async def open(self, state: RunState) -> None:
        """The run goes on from this state: what was finished after it can be found from now on.
        Raises StorageError, CheckpointError."""
        self._found = await self._call(partial(self._directory.take_over, state.step))
        self._count("journal_dropped", self._found.damaged)
        waiting = sum(len(places) for places in self._found.places.values())
        if waiting:
            log.info("journal: %d groups were finished after step=%d", waiting, state.step)

    def page(self, state: RunState) -> "Page":
        """Of the step after the state."""
        return Page(journal=self, lineage=lineage(state), step=state.step)

    async def find(self, key: Key) -> Record | None:
        """The next group with this key, if there is one that may be used."""
        places = self._found.places.get(key, [])
        while places:
            place = places.pop(0)
            record = await self._call(partial(self._read, place, key.step))
            if record is not None:
                self._count("journal_replayed", 1)
                return record
        return None

    async def append(self, key: Key, record: Record) -> None:
        """Returns when it is durable. Raises StorageError."""
        self._finished.append((key, record))
        await self._call(self._write)

    def forget(self, before: int) -> "Future[None]":
        """A checkpoint of this step is durable: what is for earlier ones is in it. Nobody needs to
        wait until it is gone."""
        return self._thread.submit(self._remove, before)

    async def _call(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    def _read(self, place: Place, step: int) -> Record | None:
        try:
            record = decode(self._directory.read(place))
            age = oldest(record.completions, step)
        except (OSError, ValueError, LookupError, TypeError, WeightSyncError) as error:
            log.warning("journal=%s a group is drawn again: %s", place.file, error)
            self._count("journal_dropped", 1)
            return None
        return record if age <= self._max_staleness else None

    def _write(self) -> None:
        """What is finished, oldest first: with one call for each group and one group at least in
        each call, a group is written when its call is done."""
        if self._failure is not None:
            raise self._failure
        lines: dict[int, list[bytes]] = {}
        for _ in range(min(len(self._finished), MAX_GROUPS_PER_WRITE)):
            key, record = self._finished.popleft()
            lines.setdefault(key.step, []).append(encode(key, record))
        for step, of_step in sorted(lines.items()):
            data = b"".join(of_step)
            try:
                self._directory.append(step, data)
            except StorageError as error:
                self._failure = error  # a line may have been cut: nothing may come after it
                raise
            self._count("journal_records", len(of_step))
            self._count("journal_bytes", len(data))

    def _remove(self, before: int) -> None:
        try:
            self._directory.remove_before(before)
        except OSError as error:
            log.warning("journal: what is before step=%d was not removed: %s", before, error)


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """The journal as one step sees it."""

    journal: Journal
    lineage: str
    step: int

    async def find(self, prompt: Prompt, requests: Sequence[GenerationRequest]) -> Group | None:
        """The group of these requests if it was finished before."""
        record = await self.journal.find(self._key(requests[0].request_id))
        if record is None:
            return None
        return Group(prompt=prompt, completions=record.completions, verdicts=record.verdicts)

    async def append(self, group: Group) -> None:
        """Returns when the group is durable. Raises StorageError."""
        record = Record(completions=group.completions, verdicts=group.verdicts)
        await self.journal.append(self._key(group.completions[0].request_id), record)

    def _key(self, request_id: str) -> Key:
        return Key(lineage=self.lineage, step=self.step, name=group_name(request_id))
