"""The client of the verification service: every completion gets one verdict, whatever happens."""

import asyncio
import logging
from collections import deque
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import dataclass

from prorl_api.wire import VerdictDocument, VerdictOutcome, VerifyItem

from prorl_trainer.errors import VerifierError
from prorl_trainer.types import Completion, Prompt, Verdict
from prorl_trainer.verify.documents import build_item
from prorl_trainer.verify.endpoints import Endpoint, Endpoints
from prorl_trainer.verify.post import AWAY, Poster
from prorl_trainer.verify.resolve import Resolve, watch

log = logging.getLogger(__name__)

INFRA_RETRIES = 1
GATHER_S = 0.05
"""What ends within it travels together; nothing beside the time that a completion takes."""


@dataclass(kw_only=True, slots=True)
class _Job:
    """A completion until it has its verdict."""

    item: VerifyItem
    verdict: "asyncio.Future[VerdictDocument]"
    retries_left: int = INFRA_RETRIES
    failed_at: str | None = None
    failing_since: float | None = None


class VerifierClient:
    """protocols.Verifier over HTTP. Completions wait for an endpoint with room; those that wait
    together travel together, and go elsewhere at once when a request fails."""

    def __init__(
        self,
        resolve: Resolve,
        token: str,
        *,
        timeout_s: float = 120.0,
        limit_s: float = 0.0,
        budget_s: float = 300.0,
    ) -> None:
        """A request may take timeout_s, and limit_s for each item that its endpoint has not judged
        yet: all of them may hang. budget_s bounds all retries of a completion, from its first
        failure: until then it may have waited long for its turn."""
        self._resolve = resolve
        self._token = token
        self._timeout_s = timeout_s
        self._limit_s = limit_s
        self._budget_s = budget_s
        self._endpoints = Endpoints()
        self._waiting: deque[_Job] = deque()
        self._changed = asyncio.Event()
        self._lost = asyncio.Event()
        """An endpoint has failed: there may be others by now."""
        self._nowhere_since: float | None = None
        """Completions wait and no endpoint is known."""
        self._poster: Poster | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._fault: BaseException | None = None
        """What has ended one of the two that run for good."""
        self.infra_errors = 0
        """Completions that stayed unjudged so far."""
        self.retried = 0
        """Completions that were sent again, for whatever reason, so far."""

    async def verify(self, prompt: Prompt, completion: Completion) -> Verdict:
        """See protocols.Verifier. Raises VerifierError, UnauthorizedError, DataError."""
        if self._poster is None:
            self._open()
        if self._fault is not None:
            raise self._fault
        verdict = asyncio.get_running_loop().create_future()
        self._waiting.append(_Job(item=build_item(prompt, completion), verdict=verdict))
        self._changed.set()
        found: VerdictDocument = await verdict
        self.infra_errors += found.score is None
        return Verdict(score=found.score, reason=found.reason)

    async def close(self) -> None:
        """Ends what is under way and closes the connections."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._poster is not None:
            await self._poster.close()

    def _open(self) -> None:
        self._poster = Poster(self._token)
        self._start(watch(self._resolve, found=self._found, again=self._lost))
        self._start(self._dispatch())

    def _start(self, call: Coroutine[None, None, None]) -> None:
        task = asyncio.ensure_future(call)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fault = error
            _fail(self._waiting, error)

    def _found(self, urls: Sequence[str]) -> None:
        self._endpoints.update(urls)
        self._changed.set()

    async def _dispatch(self) -> None:
        """Sends what waits whenever there is room for it."""
        clock = asyncio.get_running_loop().time
        while True:
            self._changed.clear()
            now = clock()
            for endpoint, jobs in self._endpoints.assign(self._waiting, now):
                if wanted := [job for job in jobs if not job.verdict.done()]:
                    endpoint.begin(len(wanted))
                    self._start(self._send(endpoint, wanted))
            await self._wait_changed(self._next_look(now))
            await asyncio.sleep(GATHER_S)

    def _next_look(self, now: float) -> float | None:
        """When there may be something to do though nothing has changed. Those that wait for an
        address longer than the budget have waited in vain."""
        if self._endpoints.known or not self._waiting:
            self._nowhere_since = None
            return self._endpoints.next_change(now)
        if self._nowhere_since is None:
            self._nowhere_since = now
        end = self._nowhere_since + self._budget_s
        if now >= end:
            self._give_up(self._waiting, "its name has no address")
            self._waiting.clear()
        return end

    async def _wait_changed(self, until: float | None) -> None:
        try:
            async with asyncio.timeout_at(until):
                await self._changed.wait()
        except TimeoutError:
            pass  # an endpoint may be tried again

    async def _send(self, endpoint: Endpoint, jobs: list[_Job]) -> None:
        assert self._poster is not None
        timeout_s = self._timeout_s + self._limit_s * endpoint.items
        try:
            items = [job.item for job in jobs]
            found = await self._poster.post(endpoint.url, items, timeout_s=timeout_s)
            self._take(endpoint, jobs, found)
        except AWAY as error:
            retry_after_s = getattr(error, "retry_after_s", 0.0)
            self._failed(endpoint, jobs, repr(error), retry_after_s)
        except Exception as error:  # whatever it is, those who wait must be told
            _fail(jobs, error)
        finally:
            endpoint.end(len(jobs))
            self._changed.set()

    def _take(
        self, endpoint: Endpoint, jobs: list[_Job], found: dict[str, VerdictDocument]
    ) -> None:
        """Hands the verdicts out; an infra-error is asked for once more, elsewhere if possible."""
        missing = [job for job in jobs if job.item.id not in found]
        again = []
        for job in jobs:
            verdict = found.get(job.item.id)
            if verdict is None or job.verdict.done():
                continue
            if verdict.outcome is VerdictOutcome.INFRA_ERROR and job.retries_left > 0:
                job.retries_left -= 1
                job.failed_at = endpoint.url
                again.append(job)
            else:
                job.verdict.set_result(verdict)
        self._send_again(again)
        if missing:
            problem = f"no verdict for {len(missing)} of {len(jobs)} completions"
            self._failed(endpoint, missing, problem)
        else:
            endpoint.answered()

    def _failed(
        self, endpoint: Endpoint, jobs: list[_Job], problem: str, retry_after_s: float = 0.0
    ) -> None:
        now = asyncio.get_running_loop().time()
        if endpoint.failed(now, retry_after_s=retry_after_s):
            aside_s = endpoint.aside_until - now
            log.info("verifier=%s set aside for %.1f s: %s", endpoint.url, aside_s, problem)
        self._lost.set()
        again = []
        for job in jobs:
            job.failed_at = endpoint.url
            job.failing_since = now if job.failing_since is None else job.failing_since
            if now < job.failing_since + self._budget_s:
                again.append(job)
            else:
                self._give_up([job], f"{endpoint.url}: {problem}")
        self._send_again(again)

    def _send_again(self, jobs: list[_Job]) -> None:
        """They have waited longest."""
        self.retried += len(jobs)
        self._waiting.extendleft(reversed(jobs))

    def _give_up(self, jobs: Iterable[_Job], problem: str) -> None:
        _fail(
            jobs, VerifierError(f"The verifier did not judge for {self._budget_s:g} s: {problem}")
        )


def _fail(jobs: Iterable[_Job], error: BaseException) -> None:
    for job in jobs:
        if not job.verdict.done():
            job.verdict.set_exception(error)
