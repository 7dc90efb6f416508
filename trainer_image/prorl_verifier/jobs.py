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
MAX_AHEAD, MAX_AHEAD_BYTES = 256, 1 << 20
PACE_WEIGHT = 1 / 8
"""Of the last verdict in the mean of a worker's seconds per verdict."""


@dataclass(kw_only=True, slots=True, eq=False)
class Job:
    """One item; it counts verdicts of its batch down."""

    item: Item
    batch: "Batch"
    place: int
    crashes: int = 0
    is_waiting: bool = True
    num_bytes: int = 0
    """Of its completion, once a worker has it."""

    @property
    def is_done(self) -> bool:
        """It has its verdict, or whoever asked for it has gone."""
        return self.batch.is_done(self.place)

    def finish(self, outcome: str, score: float | None, reason: str, seconds: float) -> None:
        """Its verdict. Any but the first is dropped."""
        verdict = Verdict(
            id=self.item.id, outcome=outcome, score=score, reason=reason, seconds=seconds
        )
        self.batch.put(self.place, verdict)


class Batch:
    """So many items that are answered together, in order, when the last has its verdict. It does
    not know its jobs, which know it: what is done is freed without the garbage collector."""

    def __init__(self, num_items: int) -> None:
        self.answered: asyncio.Future[list[Verdict]] = asyncio.get_running_loop().create_future()
        self._verdicts: dict[int, Verdict] = {}
        self._num_items = num_items
        if not num_items:
            self.answered.set_result([])

    def is_done(self, place: int) -> bool:
        """True when nobody waits for this verdict any more."""
        return place in self._verdicts or self.answered.done()

    def put(self, place: int, verdict: Verdict) -> None:
        """Any but the first for a place is dropped."""
        if not self.is_done(place):
            self._verdicts[place] = verdict
            if len(self._verdicts) == self._num_items:
                self.answered.set_result([self._verdicts[n] for n in range(self._num_items)])


class Waiting:
    """Jobs that no worker has."""

    def __init__(self) -> None:
        self._jobs: deque[Job] = deque()
        self._arrival = asyncio.Event()

    def __len__(self) -> int:
        return len(self._jobs)

    def add(self, jobs: Iterable[Job]) -> None:
        """At the end. They are new."""
        self._jobs.extend(jobs)
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
    _num_bytes: int = 0
    _pace_s: float = FIRST_PACE_S

    def load(self, waiting: Waiting, num_workers: int) -> bytes:
        """Takes jobs, no more than this worker's share, when it has judged half of what it had;
        what asks for their verdicts."""
        if self.is_stalled:
            return b""
        if not self.jobs:
            self.start_clock()
        most = min(MAX_AHEAD, max(1, int(self.ahead_s / self._pace_s)))
        room = most - len(self.jobs) if 2 * len(self.jobs) <= most else 0
        boarded: list[tuple[groups.Problem, bytes]] = []
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
        job = self.jobs.popleft()
        self._num_bytes -= job.num_bytes
        return job

    def _board(self, job: Job) -> tuple[groups.Problem, bytes]:
        problem, text = groups.packed(job.item)
        self.jobs.append(job)
        job.num_bytes = len(text)
        self._num_bytes += job.num_bytes
        return problem, text

    def start_clock(self) -> None:
        """The first is judged from now on."""
        self.begin, self.is_stalled = time.monotonic(), False
