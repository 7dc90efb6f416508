"""The client of the verification service: every completion gets one verdict, whatever happens."""

import asyncio
import logging
import socket
from collections.abc import Sequence
from typing import Any

import aiohttp
from prorl_api.wire import (
    VerdictDocument,
    VerdictOutcome,
    VerifyItem,
    VerifyRequest,
    VerifyResponse,
)
from pydantic import ValidationError

from prorl_trainer.errors import DataError, UnauthorizedError, VerifierError
from prorl_trainer.types import Completion, Prompt, Verdict

log = logging.getLogger(__name__)

MAX_CONCURRENT_REQUESTS = 32
KEEPALIVE = {socket.TCP_KEEPIDLE: 20, socket.TCP_KEEPINTVL: 10, socket.TCP_KEEPCNT: 3}
"""Seconds without a byte before the first probe, seconds between probes, probes."""
FIRST_DELAY_S = 0.2
MAX_DELAY_S = 5.0
"""Longest pause between tries, unless the service asks for a longer one."""
INFRA_RETRIES = 1


class VerifierClient:
    """protocols.Verifier over HTTP."""

    def __init__(
        self,
        base_url: str,
        token: str,
        *,
        timeout_s: float = 120.0,
        limit_s: float = 0.0,
        budget_s: float = 300.0,
    ) -> None:
        """A request may take timeout_s, and limit_s for each item that may be in the queue before
        its last: all of them may hang. budget_s bounds all retries of it."""
        self._url = f"{base_url}/v1/verify"
        self._ready_url = f"{base_url}/readyz"
        self._headers = {"Authorization": f"Bearer {token}"}
        self._timeout_s = timeout_s
        self._limit_s = limit_s
        self._budget_s = budget_s
        self._slots = asyncio.Semaphore(MAX_CONCURRENT_REQUESTS)
        self._session: aiohttp.ClientSession | None = None
        self.infra_errors = 0
        """Completions that stayed unjudged so far."""

    async def verify(
        self, prompt: Prompt, completions: Sequence[Completion]
    ) -> tuple[Verdict, ...]:
        """See protocols.Verifier. Raises VerifierError, UnauthorizedError, DataError."""
        items = [_item(prompt, completion) for completion in completions]
        found = await self._judge(items)
        for _ in range(INFRA_RETRIES):
            again = [i for i in items if found[i.id].outcome is VerdictOutcome.INFRA_ERROR]
            if again:
                found |= await self._judge(again)
        verdicts = tuple(Verdict(score=found[i.id].score, reason=found[i.id].reason) for i in items)
        self.infra_errors += sum(v.score is None for v in verdicts)
        return verdicts

    async def close(self) -> None:
        """Closes the connections."""
        if self._session is not None:
            await self._session.close()

    async def _judge(self, items: list[VerifyItem]) -> dict[str, VerdictDocument]:
        """A verdict for every item; what is missing in an answer is asked for again."""
        clock = asyncio.get_running_loop().time
        # Counted from the first failure: until then a group may have waited long for its turn.
        deadline: float | None = None
        found: dict[str, VerdictDocument] = {}
        delay = FIRST_DELAY_S
        while missing := [item for item in items if item.id not in found]:
            try:
                found |= _checked(missing, await self._post(missing))
                problem = f"no verdict for {len(items) - len(found)} of {len(items)} completions"
            except _AWAY as error:
                problem = repr(error)
                delay = max(delay, getattr(error, "retry_after_s", 0.0))
            if len(found) == len(items):
                break
            if deadline is None:
                deadline = clock() + self._budget_s
            if clock() + delay > deadline:
                raise VerifierError(
                    f"The verifier {self._url} did not judge for {self._budget_s:.0f} s: {problem}"
                )
            log.info("verifier is away, retry in %.1f s: %s", delay, problem)
            await asyncio.sleep(delay)
            delay = min(2 * delay, MAX_DELAY_S)
        return found

    async def _post(self, items: list[VerifyItem]) -> bytes:
        if self._session is None:
            connector = aiohttp.TCPConnector(socket_factory=watched_socket)
            self._session = aiohttp.ClientSession(headers=self._headers, connector=connector)
        body = VerifyRequest(items=items).model_dump_json(by_alias=True).encode()
        headers = {"Content-Type": "application/json"}
        queue_s = MAX_CONCURRENT_REQUESTS * len(items) * self._limit_s
        timeout = aiohttp.ClientTimeout(total=self._timeout_s + queue_s, connect=5)
        async with (
            self._slots,
            self._session.post(self._url, data=body, headers=headers, timeout=timeout) as response,
        ):
            answer = await response.read()
            if response.status != 200:
                raise _refusal(response, answer.decode(errors="replace")[:500])
            return answer


def watched_socket(address: tuple[Any, ...]) -> socket.socket:
    """Of a connection that breaks within a minute when the other host has vanished: requests may
    take longer than anybody wants to wait for that."""
    family, kind, protocol, *_ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in KEEPALIVE.items():
        made.setsockopt(socket.IPPROTO_TCP, option, value)
    return made


class _BusyError(Exception):
    """The service is there and asks for patience."""

    def __init__(self, text: str, retry_after_s: float) -> None:
        super().__init__(text)
        self.retry_after_s = retry_after_s


_AWAY = (aiohttp.ClientError, TimeoutError, OSError, _BusyError)


def _refusal(response: aiohttp.ClientResponse, text: str) -> Exception:
    status = response.status
    if status == 401:
        return UnauthorizedError("The verifier refuses the job's token.")
    if status in (400, 413):
        return DataError(f"The verifier refuses the batch ({status}): {text}")
    if status == 429 or status >= 500:
        wait = response.headers.get("Retry-After", "")
        return _BusyError(f"HTTP {status}: {text}", float(wait) if wait.isdecimal() else 0.0)
    return VerifierError(f"{response.url} is no verifier, it answers {status}: {text}")


def _item(prompt: Prompt, completion: Completion) -> VerifyItem:
    return VerifyItem(
        id=completion.request_id,
        verifier=prompt.verifier,
        completion=completion.text,
        answer=prompt.answer,
        meta=prompt.meta,
    )


def _checked(items: Sequence[VerifyItem], body: bytes) -> dict[str, VerdictDocument]:
    """Raises VerifierError unless there is at most one sound verdict per item."""
    try:
        response = VerifyResponse.model_validate_json(body)
    except ValidationError as error:
        raise VerifierError(f"The verifier's answer is malformed: {error}") from error
    asked = {item.id for item in items}
    found: dict[str, VerdictDocument] = {}
    for verdict in response.verdicts:
        if verdict.id not in asked:
            raise VerifierError(f"The verifier judged {verdict.id}, which was not asked for.")
        if verdict.id in found:
            raise VerifierError(f"The verifier judged {verdict.id} twice.")
        if (verdict.score is None) != (verdict.outcome is VerdictOutcome.INFRA_ERROR):
            raise VerifierError(
                f"Verdict {verdict.id} is {verdict.outcome} with score {verdict.score}."
            )
        found[verdict.id] = verdict
    return found
