"""Items on their way to a verdict: the batches they came in, the queue, and what a worker holds."""

import asyncio
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from prorl_verifier import groups
from prorl_verifier.wire import Item, Verdict

FIRST_PACE_S = 0.1
"""Seconds per verdict, before anything is known of a worker."""
MAX_AHEAD, MAX_AHEAD_BYTES = 256, 128 << 10
PACE_WEIGHT = 1 / 8
"""Of the last verdict in the mean of a worker's seconds per verdict."""


@dataclass(kw_only=True, slots=True, eq=False)
class Job:
    """One item; it counts verdicts of its batch down."""

    item: Item
    batch: "Batch"
    place: int
    crashes: int = 0
    is_waiting: bool = False

    @property
    def is_done(self) -> bool:
        """It has its verdict, or whoever asked for it has gone."""
        return self.batch.is_done(self.place)

    def finish(self, outcome: str, score: float | None, reason: str, seconds: float) -> None:
        """Its verdict. Any but the first is dropped."""
        if not self.is_done:
            self.batch.put(
                self.place,
                Verdict(
                    id=self.item.id, outcome=outcome, score=score, reason=reason, seconds=seconds
                ),
            )


class Batch:
    """Items that are answered together, when the last has its verdict."""

    def __init__(self, items: list[Item]) -> None:
        self.jobs = [Job(item=item, batch=self, place=place) for place, item in enumerate(items)]
        self.answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._verdicts: dict[int, Verdict] = {}
        if not items:
            self.answered.set_result(None)

    def is_done(self, place: int) -> bool:
        """True when nobody waits for this verdict any more."""
        return place in self._verdicts or self.answered.done()

    def put(self, place: int, verdict: Verdict) -> None:
        """Exactly once for each place."""
        self._verdicts[place] = verdict
        if len(self._verdicts) == len(self.jobs):
            self.answered.set_result(None)

    @property
    def verdicts(self) -> list[Verdict]:
        """In order of the items, once answered."""
        return [self._verdicts[place] for place in range(len(self.jobs))]


class Waiting:
    """Jobs that no worker has."""

    def __init__(self) -> None:
        self._jobs: deque[Job] = deque()
        self._arrival = asyncio.Event()

    def __len__(self) -> int:
        return len(self._jobs)

    def add(self, jobs: Iterable[Job]) -> None:
        """At the end."""
        for job in jobs:
            job.is_waiting = True
            self._jobs.append(job)
        self._arrival.set()

    def put_back(self, jobs: Iterable[Job]) -> None:
        """At the front, in this order, but for those that wait already or are done."""
        for job in reversed([job for job in jobs if not job.is_waiting and not job.is_done]):
            job.is_waiting = True
            self._jobs.appendleft(job)
        self._arrival.set()

    def take(self) -> Job | None:
        """The first that is not done yet, and that no fresh worker is kept for."""
        while self._jobs:
            job = self._jobs.popleft()
            job.is_waiting = False
            if not job.is_done and not job.crashes:
                return job
        return None

    async def arrival(self) -> None:
        """Returns when there are any; somebody else may be faster to take them."""
        while not self._jobs:
            self._arrival.clear()
            await self._arrival.wait()


@dataclass(kw_only=True, slots=True)
class Flight:
    """What one worker was sent and has not answered, in order. It judges the first.

    It is sent about `ahead_s` seconds of work, and at least one item."""

    ahead_s: float
    suspect: Job | None = None
    """Judged before all others: another worker has failed over it, and a fresh one tells whether by
    its fault."""
    is_fresh: bool = True
    """The worker has not judged anything yet."""
    jobs: deque[Job] = field(default_factory=deque)
    begin: float = 0.0
    """Since when the first is judged, of time.monotonic."""
    is_stalled: bool = False
    """The first takes so long that the others were offered to other workers."""
    _sizes_bytes: deque[int] = field(default_factory=deque)
    _num_bytes: int = 0
    _pace_s: float = FIRST_PACE_S

    def load(self, waiting: Waiting, num_workers: int) -> bytes:
        """Takes jobs, no more than this worker's share, when it has judged half of what it had;
        what asks for their verdicts."""
        if self.is_stalled:
            return b""
        if not self.jobs:
            self._start_clock()
        most = min(MAX_AHEAD, max(1, int(self.ahead_s / self._pace_s)))
        room = most - len(self.jobs) if 2 * len(self.jobs) <= most else 0
        boarded: list[tuple[Item, bytes]] = []
        if self.suspect is not None and not self.suspect.is_done:
            boarded.append(self._board(self.suspect))
        self.suspect = None
        share = -(-len(waiting) // num_workers)
        while len(boarded) < min(room, share) and self._num_bytes < MAX_AHEAD_BYTES:
            job = waiting.take()
            if job is None:
                break
            boarded.append(self._board(job))
        return groups.pack(boarded)

    def land(self, seconds: float) -> Job:
        """Takes the first off: it is judged. `seconds` is what that took."""
        self.is_fresh = False
        self._pace_s += PACE_WEIGHT * (max(seconds, 1e-6) - self._pace_s)
        self._num_bytes -= self._sizes_bytes.popleft()
        self._start_clock()
        return self.jobs.popleft()

    def _board(self, job: Job) -> tuple[Item, bytes]:
        text = groups.packed(job.item.completion)
        self.jobs.append(job)
        self._sizes_bytes.append(len(text))
        self._num_bytes += len(text)
        return job.item, text

    def _start_clock(self) -> None:
        self.begin, self.is_stalled = time.monotonic(), False
