"""Killable workers: every item gets one verdict, whatever happens to a worker."""

import asyncio
import json
import logging
import os
import signal
import sys
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

from prorl_verifier.metrics import Metrics
from prorl_verifier.processes import kill_descendants
from prorl_verifier.wire import (
    FAIL,
    INFRA_ERROR,
    PASS,
    Item,
    Verdict,
)

log = logging.getLogger(__name__)

MEMORY_WORDS = (str(4 << 30),)
"""A worker's limit of address space, as its first argument."""
START_TIMEOUT_S = 60.0
MAX_CRASHES = 2
"""An item whose worker dies this often is an infra-error: nobody knows what it is worth."""
LINE_LIMIT = 1 << 20


class QueueFullError(Exception):
    """More items are waiting than max_queue allows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Crew:
    """The workers of a pool."""

    workers: int
    timeout_s: float
    """Limit of one verdict."""
    command: tuple[str, ...] = ("prorl_verifier.worker", *MEMORY_WORDS)
    """The module that a worker runs, and its arguments."""
    late_outcome: str = FAIL
    """Of a verdict that takes longer: FAIL blames the completion, INFRA_ERROR the worker."""


@dataclass(kw_only=True, slots=True)
class _Job:
    item: Item
    result: "asyncio.Future[Verdict]"
    crashes: int = 0


class WorkerPool:
    """`verify` judges a batch; `open` starts the workers, `close` ends them."""

    def __init__(self, crew: Crew, *, max_queue: int, metrics: Metrics) -> None:
        self._crew = crew
        self._max_queue = max_queue
        self._metrics = metrics
        self._waiting: deque[_Job] = deque()
        self._wakeup = asyncio.Condition()
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
        """Kills the workers."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def check_room(self, num_items: int) -> None:
        """Raises QueueFullError if so many more may not wait."""
        if len(self._waiting) + num_items > self._max_queue:
            raise QueueFullError(f"{len(self._waiting)} items wait, at most {self._max_queue}")

    async def verify(self, items: list[Item]) -> list[Verdict]:
        """One verdict per item, in order. Raises QueueFullError, then nothing was accepted."""
        self.check_room(len(items))
        loop = asyncio.get_running_loop()
        jobs = [_Job(item=item, result=loop.create_future()) for item in items]
        async with self._wakeup:
            self._waiting.extend(jobs)
            self._metrics.queue.inc(len(jobs))
            self._wakeup.notify(len(jobs))
        return list(await asyncio.gather(*(job.result for job in jobs)))

    async def _serve(self) -> None:
        """One worker's place: a new process whenever the old one has died."""
        while True:
            process = await self._start()
            self._ready += 1
            try:
                while await self._one(process):
                    pass
            finally:
                self._ready -= 1
                await kill_group(process)
            self._metrics.restarts.inc()

    async def _start(self) -> asyncio.subprocess.Process:
        while True:
            try:
                return await _spawn(self._crew.command)
            except (TimeoutError, EOFError, ValueError, OSError) as error:
                log.error("worker did not start: %r", error)
                await asyncio.sleep(1)

    async def _one(self, process: asyncio.subprocess.Process) -> bool:
        """Judges the next item; False when the worker is used up."""
        async with self._wakeup:
            await self._wakeup.wait_for(lambda: bool(self._waiting))
            job = self._waiting.popleft()
            self._metrics.queue.dec()
        if job.result.done():
            return True  # whoever asked has gone
        begin = time.monotonic()
        try:
            answer = await self._ask(process, job.item)
        except TimeoutError:
            reason = f"timed out after {self._crew.timeout_s:g} s"
            score = 0.0 if self._crew.late_outcome == FAIL else None
            self._finish(job, self._crew.late_outcome, score, reason, begin)
            return False
        except (EOFError, ConnectionError, ValueError) as error:
            await self._crashed(job, begin, repr(error))
            return False
        except asyncio.CancelledError:
            self._finish(job, INFRA_ERROR, None, "the service is stopping", begin)
            raise
        exhausted = "exhausted" in answer
        if exhausted and not job.crashes:  # a fresh worker tells whose fault it is
            await self._crashed(job, begin, answer["reason"])
            return False
        if "error" in answer:
            self._finish(job, INFRA_ERROR, None, answer["error"], begin)
        else:
            outcome = PASS if answer["score"] >= 1.0 else FAIL
            self._finish(job, outcome, answer["score"], answer["reason"], begin)
        return not exhausted

    async def _ask(self, process: asyncio.subprocess.Process, item: Item) -> dict[str, Any]:
        assert process.stdin is not None
        async with asyncio.timeout(self._crew.timeout_s):
            process.stdin.write(item.line())
            await process.stdin.drain()
            return await _read(process, self._crew.timeout_s)

    async def _crashed(self, job: _Job, begin: float, reason: str) -> None:
        job.crashes += 1
        if job.crashes >= MAX_CRASHES:
            self._finish(job, INFRA_ERROR, None, f"{job.crashes} workers died: {reason}", begin)
            return
        async with self._wakeup:
            self._waiting.appendleft(job)
            self._metrics.queue.inc()
            self._wakeup.notify()

    def _finish(
        self, job: _Job, outcome: str, score: float | None, reason: str, begin: float
    ) -> None:
        if not job.result.done():
            seconds = time.monotonic() - begin
            job.result.set_result(
                Verdict(
                    id=job.item.id, outcome=outcome, score=score, reason=reason, seconds=seconds
                )
            )


async def _spawn(command: tuple[str, ...]) -> asyncio.subprocess.Process:
    """A worker that has said it is ready."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "LANG": "C.UTF-8"},
        start_new_session=True,
        limit=LINE_LIMIT,
    )  # fmt: skip
    try:
        await _read(process, START_TIMEOUT_S)
    except BaseException:
        await kill_group(process)
        raise
    return process


async def kill_group(process: asyncio.subprocess.Process) -> None:
    """SIGKILLs the worker and everything it has started."""
    kill_descendants(process.pid)
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        log.debug("worker %d has ended already", process.pid)
    if process.stdin is not None:
        process.stdin.close()
    await process.wait()


async def _read(process: asyncio.subprocess.Process, timeout_s: float) -> dict[str, Any]:
    assert process.stdout is not None
    async with asyncio.timeout(timeout_s):
        line = await process.stdout.readline()
    if not line:
        raise EOFError("the worker has ended")
    answer: dict[str, Any] = json.loads(line)
    return answer
