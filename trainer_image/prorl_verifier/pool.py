"""Killable workers: every item gets one verdict, whatever happens to a worker."""

import asyncio
import logging
import time
from dataclasses import dataclass

from prorl_verifier.jobs import Batch, Flight, Run, Waiting
from prorl_verifier.metrics import Metrics
from prorl_verifier.process import Forker, Worker
from prorl_verifier.runs import Answer, read_answers
from prorl_verifier.wire import FAIL, INFRA_ERROR, Item, Verdict

log = logging.getLogger(__name__)

MEMORY_WORDS = (str(4 << 30),)
"""A worker's limit of address space, as its first argument."""
MAX_CRASHES = 2
"""An item whose worker dies this often is an infra-error: nobody knows what it is worth."""
GATHER_S = 0.001
"""While a worker has more to do, its answers are let pile up: to wake up costs more than many a
verdict."""
STALL_S = 0.5
"""What waits behind an item that takes longer is offered to other workers."""


class QueueFullError(Exception):
    """More items are waiting than max_queue allows."""


class ExhaustedError(Exception):
    """A worker is short of memory: perhaps by what earlier items have left behind."""


FAULTS = (TimeoutError, EOFError, OSError, ExhaustedError, ValueError)
"""Of a worker; the last when what it says is no answer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Crew:
    """The workers of a pool."""

    workers: int
    timeout_s: float
    """Limit of one verdict."""
    command: tuple[str, ...] = ("prorl_verifier.worker", *MEMORY_WORDS)
    """The module that a worker runs (see forker), and its arguments."""
    late_outcome: str = FAIL
    """Of a verdict that takes longer: FAIL blames the completion, INFRA_ERROR the worker."""
    ahead_s: float = 0.1
    """A worker is sent so much work at once, that it need not wait for the next item. What waits
    behind a slow one may be judged twice, so 0 where that starts processes."""


class WorkerPool:
    """`verify` judges a batch; `open` starts the workers, `close` ends them."""

    def __init__(self, crew: Crew, *, max_queue: int, metrics: Metrics) -> None:
        self._crew = crew
        self._max_queue = max_queue
        self._metrics = metrics
        self._waiting = Waiting()
        metrics.watch_queue(self._waiting.__len__)
        self._forker = Forker(crew.command)
        self._tasks: list[asyncio.Task[None]] = []
        self._ready = 0

    @property
    def ready(self) -> bool:
        """At least one worker can take items."""
        return self._ready > 0

    def open(self) -> None:
        """Starts the workers in the background."""
        self._tasks = [asyncio.create_task(self._serve()) for _ in range(self._crew.workers)]

    async def close(self) -> None:
        """Kills the workers. What has no verdict is an infra-error."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._forker.close()
        while (run := self._waiting.take(len(self._waiting))) is not None:
            _stop(run)

    def check_room(self, num_items: int) -> None:
        """Raises QueueFullError if so many more may not wait."""
        if len(self._waiting) + num_items > self._max_queue:
            raise QueueFullError(f"{len(self._waiting)} items wait, at most {self._max_queue}")

    async def verify(self, items: list[Item]) -> list[Verdict]:
        """One verdict per item, in order. Raises QueueFullError, then nothing was accepted."""
        self.check_room(len(items))
        batch = Batch(items)
        if items:
            self._waiting.add(Run(batch=batch, items=items))
        return await batch.answered

    async def _serve(self) -> None:
        """One worker's place: a new process whenever the old one is used up."""
        suspect: Run | None = None
        while True:
            flight = Flight(ahead_s=self._crew.ahead_s, suspect=suspect)
            try:
                fault = await self._work(await self._start(), flight)
            except asyncio.CancelledError:
                for run in filter(None, (flight.suspect, *flight.runs)):
                    _stop(run)
                raise
            suspect = self._blame(flight, fault)
            self._metrics.restarts.inc()

    async def _work(self, worker: Worker, flight: Flight) -> BaseException | None:
        """One worker's life; what has ended it, if something has."""
        self._ready += 1
        try:
            await self._converse(worker, flight)
        except FAULTS as error:
            return error
        finally:
            self._ready -= 1
            await self._forker.end(worker)
        return None

    async def _start(self) -> Worker:
        while True:
            try:
                return await self._forker.start()
            except (TimeoutError, EOFError, ValueError, OSError) as error:
                log.error("worker did not start: %r", error)
                await asyncio.sleep(1)

    async def _converse(self, worker: Worker, flight: Flight) -> None:
        """Returns when the worker is used up and nobody is to blame.

        Raises what is in FAULTS for the item that it was judging."""
        while True:
            if not flight.runs:
                if flight.suspect is None:
                    await self._waiting.arrival()
                if not worker.is_silent():
                    return
            worker.send(flight.load(self._waiting, self._crew.workers))
            if not flight.runs:
                continue  # somebody else was faster
            lines = await self._listen(worker, flight)
            if not (_settle(flight, lines) if lines else self._bear(flight)):
                return

    async def _listen(self, worker: Worker, flight: Flight) -> bytes:
        """The next answers, none if the first item takes long. Raises TimeoutError and what
        Worker.answers does."""
        limit = flight.begin + self._crew.timeout_s
        if len(flight) > 1:
            await asyncio.sleep(GATHER_S)
        lines = await worker.answers(min(limit, time.monotonic() + STALL_S))
        if not lines and time.monotonic() >= limit:
            raise TimeoutError
        return lines

    def _bear(self, flight: Flight) -> bool:
        """Offers what waits behind a slow item to the others; False if nobody waits for that."""
        first = flight.runs[0]
        if not first.batch.lacks(first.items[0]):
            return False
        if not flight.is_stalled:
            self._waiting.put_back(flight.offer())
        return True

    def _blame(self, flight: Flight, fault: BaseException | None) -> Run | None:
        """The item that was judged when its worker failed; the others wait again, uncounted. The
        worker must be dead: a verdict comes after the end of all that it is about.

        Returns what the next worker must judge first."""
        suspect = flight.suspect
        if fault is not None and flight.runs:
            suspect, seconds = flight.take_off(1), time.monotonic() - flight.begin
            if isinstance(fault, TimeoutError):
                score = 0.0 if self._crew.late_outcome == FAIL else None
                reason = f"timed out after {self._crew.timeout_s:g} s"
                suspect.finish(self._crew.late_outcome, score, reason, seconds)
            else:
                _count_crash(suspect, fault, seconds)
        self._waiting.put_back(flight.own())
        return suspect


def _settle(flight: Flight, lines: bytes) -> bool:
    """Gives what is answered its verdicts; False when the worker is used up."""
    flight.start_clock()
    return all(_land(flight, answers) for answers in read_answers(lines))


def _land(flight: Flight, answers: list[Answer]) -> bool:
    """The same. Raises ExhaustedError."""
    awaited = len(flight)
    exhausted = [answer.exhausted for answer in answers]
    sound = answers[: exhausted.index(True)] if True in exhausted else answers
    flight.land(sound)
    if len(sound) < len(answers) and flight.runs:
        _land_exhausted(flight, answers[len(sound)])
        return False
    return len(answers) <= awaited


def _land_exhausted(flight: Flight, answer: Answer) -> None:
    """Memory that is short is the fault of an item that a fresh worker has judged before all others
    because another had failed over it. Raises ExhaustedError for any other."""
    first = flight.runs[0]
    if not (flight.is_fresh and first.batch.crashes[first.items[0].id]):
        raise ExhaustedError(answer.reason)
    flight.land([answer])


def _count_crash(run: Run, fault: BaseException, seconds: float) -> None:
    """Of a run of one item."""
    (item,) = run.items
    run.batch.crashes[item.id] += 1
    if (crashes := run.batch.crashes[item.id]) >= MAX_CRASHES:
        run.finish(INFRA_ERROR, None, f"{crashes} workers died: {fault!r}", seconds)


def _stop(run: Run) -> None:
    run.finish(INFRA_ERROR, None, "the service is stopping", 0.0)
