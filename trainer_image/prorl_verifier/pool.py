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
from prorl_verifier.wire import (
    FAIL,
    INFRA_ERROR,
    MAX_COMPLETION_CHARACTERS,
    PASS,
    Item,
    Verdict,
)

log = logging.getLogger(__name__)

WORKER_MEMORY_BYTES = 4 << 30
START_TIMEOUT_S = 60.0
MAX_CRASHES = 2
"""An item whose worker dies this often is an infra-error: nobody knows what it is worth."""
LINE_LIMIT = 1 << 20


class QueueFullError(Exception):
    """More items are waiting than max_queue allows."""


@dataclass(kw_only=True, slots=True)
class _Job:
    item: Item
    result: "asyncio.Future[Verdict]"
    crashes: int = 0


class WorkerPool:
    """`verify` judges a batch; `open` starts the workers, `close` ends them."""

    def __init__(self, *, workers: int, timeout_s: float, max_queue: int, metrics: Metrics) -> None:
        self._num_workers = workers
        self._timeout_s = timeout_s
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
        self._tasks = [asyncio.create_task(self._serve()) for _ in range(self._num_workers)]

    async def close(self) -> None:
        """Kills the workers."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def verify(self, items: list[Item]) -> list[Verdict]:
        """One verdict per item, in order. Raises QueueFullError, then nothing was accepted."""
        if len(self._waiting) + len(items) > self._max_queue:
            raise QueueFullError(f"{len(self._waiting)} items wait, at most {self._max_queue}")
        loop = asyncio.get_running_loop()
        jobs = [_Job(item=item, result=loop.create_future()) for item in items]
        async with self._wakeup:
            self._waiting.extend(jobs)
            self._metrics.queue.set(len(self._waiting))
            self._wakeup.notify(len(jobs))
        verdicts = list(await asyncio.gather(*(job.result for job in jobs)))
        for job, verdict in zip(jobs, verdicts, strict=True):
            self._metrics.verdict(job.item.verifier, verdict)
        return verdicts

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
                return await _spawn()
            except (TimeoutError, EOFError, ValueError, OSError) as error:
                log.error("worker did not start: %r", error)
                await asyncio.sleep(1)

    async def _one(self, process: asyncio.subprocess.Process) -> bool:
        """Judges the next item; False when the worker is used up."""
        async with self._wakeup:
            await self._wakeup.wait_for(lambda: bool(self._waiting))
            job = self._waiting.popleft()
            self._metrics.queue.set(len(self._waiting))
        if job.result.done():
            return True  # whoever asked has gone
        begin = time.monotonic()
        try:
            answer = await self._ask(process, job.item)
        except TimeoutError:
            reason = f"timed out after {self._timeout_s:g} s"
            self._finish(job, FAIL, 0.0, reason, begin)
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
        if len(item.completion) > MAX_COMPLETION_CHARACTERS:
            limit = MAX_COMPLETION_CHARACTERS
            return {"score": 0.0, "reason": f"completion has more than {limit} characters"}
        assert process.stdin is not None
        async with asyncio.timeout(self._timeout_s):
            process.stdin.write(item.line())
            await process.stdin.drain()
            return await _read(process, self._timeout_s)

    async def _crashed(self, job: _Job, begin: float, reason: str) -> None:
        job.crashes += 1
        if job.crashes >= MAX_CRASHES:
            self._finish(job, INFRA_ERROR, None, f"{job.crashes} workers died: {reason}", begin)
            return
        async with self._wakeup:
            self._waiting.appendleft(job)
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


async def _spawn() -> asyncio.subprocess.Process:
    """A worker that has said it is ready."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "prorl_verifier.worker", str(WORKER_MEMORY_BYTES),
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
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        log.debug("worker %d has ended already", process.pid)
    await process.wait()


async def _read(process: asyncio.subprocess.Process, timeout_s: float) -> dict[str, Any]:
    assert process.stdout is not None
    async with asyncio.timeout(timeout_s):
        line = await process.stdout.readline()
    if not line:
        raise EOFError("the worker has ended")
    answer: dict[str, Any] = json.loads(line)
    return answer
