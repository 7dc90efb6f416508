"""Verifiers behind a URL of their own: one POST of {completion, answer, meta} per item, answered
with {score, reason}."""

import asyncio
import json
import time
from dataclasses import dataclass

import aiohttp

from prorl_verifier import runs
from prorl_verifier.errors import BadItemError
from prorl_verifier.given import MAX_REASON_CHARACTERS, checked, short
from prorl_verifier.metrics import Metrics
from prorl_verifier.pool import QueueFullError
from prorl_verifier.wire import FAIL, INFRA_ERROR, PASS, Item, Verdict

MAX_CONCURRENT = 32
"""Requests to one remote verifier at once."""
MAX_ANSWER_BYTES = 64 << 10
JSON = {"Content-Type": "application/json"}


class RemoteError(Exception):
    """It did not answer, or with what is no verdict."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Remote:
    """spec.verifier.remotes[]"""

    name: str
    url: str


class RemotePool:
    """Judges as a WorkerPool does; the work is done elsewhere. A request has timeout_s seconds."""

    def __init__(
        self, remote: Remote, *, timeout_s: float, max_queue: int, metrics: Metrics
    ) -> None:
        self._remote = remote
        self._timeout_s = timeout_s
        self._max_queue = max_queue
        self._waiting = 0
        metrics.watch_queue(lambda: self._waiting)
        self._slots = asyncio.Semaphore(MAX_CONCURRENT)
        self._session: aiohttp.ClientSession | None = None

    def open(self) -> None:
        """Connections are made when they are needed."""
        timeout = aiohttp.ClientTimeout(total=self._timeout_s)
        self._session = aiohttp.ClientSession(timeout=timeout)

    async def close(self) -> None:
        """Ends all connections."""
        if self._session is not None:
            await self._session.close()

    def check_room(self, num_items: int) -> None:
        """Raises QueueFullError if so many more may not wait."""
        if self._waiting + num_items > self._max_queue:
            raise QueueFullError(f"{self._waiting} items wait, at most {self._max_queue}")

    async def verify(self, items: list[Item]) -> list[Verdict]:
        """One verdict per item, in order. Raises QueueFullError, then nothing was accepted."""
        self.check_room(len(items))
        return list(await asyncio.gather(*(self._one(item) for item in items)))

    async def _one(self, item: Item) -> Verdict:
        self._waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self._waiting -= 1
        begin = time.monotonic()
        outcome, score, reason = INFRA_ERROR, None, ""
        try:
            score, reason = parse_answer(await self._ask(runs.as_given(item)))
            outcome = PASS if score == 1 else FAIL
        except BadItemError as error:
            reason = str(error)
        except RemoteError as error:
            reason = f"remote verifier {self._remote.name} {error}"
        finally:
            self._slots.release()
        seconds = time.monotonic() - begin
        return Verdict(id=item.id, outcome=outcome, score=score, reason=reason, seconds=seconds)

    async def _ask(self, body: bytes) -> bytes:
        assert self._session is not None
        try:
            async with self._session.post(
                self._remote.url, data=body, headers=JSON, allow_redirects=False
            ) as response:
                if response.status != 200:
                    raise RemoteError(f"answered with status {response.status}, must be 200")
                return await _read(response.content)
        except TimeoutError as error:
            raise RemoteError(f"did not answer within {self._timeout_s:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise RemoteError(f"did not answer: {error!r}"[:MAX_REASON_CHARACTERS]) from error


async def _read(content: aiohttp.StreamReader) -> bytes:
    """All of it, or a RemoteError as soon as it is too much."""
    parts, size = [], 0
    async for part in content.iter_any():
        parts.append(part)
        size += len(part)
        if size > MAX_ANSWER_BYTES:
            raise RemoteError(f"answered with more than {MAX_ANSWER_BYTES} bytes")
    return b"".join(parts)


def parse_answer(body: bytes) -> tuple[float, str]:
    """Score and reason. Raises RemoteError naming field, value and limit."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RemoteError(f"answered with what is not JSON: {error}") from error
    if not isinstance(document, dict) or "score" not in document:
        raise RemoteError(f"answered with {short(document)}, must be an object with score")
    try:
        return checked(document["score"], document.get("reason", ""))
    except ValueError as error:
        raise RemoteError(f"answered with {error}") from error
