"""One request to one verifier: its connection, and what a refusal means."""

import logging
import socket
from collections.abc import Sequence
from typing import Any

import aiohttp
from prorl_api.wire import VerdictDocument, VerifyItem

from prorl_trainer.errors import DataError, UnauthorizedError, VerifierError
from prorl_trainer.verify.documents import build_body, parse_answer, unjudged, verdicts_of

log = logging.getLogger(__name__)

CONNECT_SECONDS = 5.0
KEEPALIVE = {socket.TCP_KEEPIDLE: 20, socket.TCP_KEEPINTVL: 10, socket.TCP_KEEPCNT: 3}
"""Seconds without a byte before the first probe, seconds between probes, probes."""


class BusyError(Exception):
    """The verifier is there and asks for patience."""

    def __init__(self, text: str, retry_after_s: float) -> None:
        super().__init__(text)
        self.retry_after_s = retry_after_s


class TooLargeError(Exception):
    """The verifier takes no body of this size."""


AWAY = (aiohttp.ClientError, TimeoutError, OSError, BusyError)
"""What may go well a little later, or elsewhere."""


class Poster:
    """Sends batches. Made inside a running event loop."""

    def __init__(self, token: str) -> None:
        # How many requests there are at once is decided per endpoint.
        connector = aiohttp.TCPConnector(limit=0, socket_factory=watched_socket)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._hashes: dict[str, str] = {}
        """dataset_hash -> a verifier that has it."""
        self._session = aiohttp.ClientSession(headers=headers, connector=connector)

    async def post(
        self, base_url: str, items: Sequence[VerifyItem], *, timeout_s: float
    ) -> dict[str, VerdictDocument]:
        """Verdicts by id; some may be missing. What is too large for one request goes in two; a
        completion that is so by itself stays unjudged.

        Raises what is in AWAY, UnauthorizedError, DataError, VerifierError."""
        try:
            return await self._post(base_url, items, timeout_s)
        except TooLargeError as error:
            if len(items) == 1:
                return {items[0].id: unjudged(items[0].id, f"The verifier refuses it: {error}")}
            log.info("verifier=%s refuses %d completions at once: %s", base_url, len(items), error)
        half = len(items) // 2
        first = await self.post(base_url, items[:half], timeout_s=timeout_s)
        return first | await self.post(base_url, items[half:], timeout_s=timeout_s)

    async def _post(
        self, base_url: str, items: Sequence[VerifyItem], timeout_s: float
    ) -> dict[str, VerdictDocument]:
        body = build_body(items)
        timeout = aiohttp.ClientTimeout(total=timeout_s, connect=CONNECT_SECONDS)
        url = f"{base_url}/v1/verify"
        async with self._session.post(url, data=body, timeout=timeout) as response:
            answer = await response.read()
            if response.status != 200:
                raise _refusal(response, answer.decode(errors="replace")[:500])
        judged = parse_answer(answer)
        self._compare(base_url, judged.dataset_hash)
        return verdicts_of(items, judged)

    def _compare(self, base_url: str, dataset_hash: str) -> None:
        """Verifiers that do not judge alike are told of, once for each pair of hashes."""
        if dataset_hash in self._hashes:
            return
        for other, url in self._hashes.items():
            log.warning(
                "verifiers may judge differently: dataset_hash=%s at %s, %s at %s",
                dataset_hash[:12], base_url, other[:12], url,
            )  # fmt: skip
        self._hashes[dataset_hash] = base_url

    async def close(self) -> None:
        """Closes the connections."""
        await self._session.close()


def watched_socket(address: tuple[Any, ...]) -> socket.socket:
    """Of a connection that breaks within a minute when the other host has vanished: requests may
    take longer than anybody wants to wait for that."""
    family, kind, protocol, *_ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in KEEPALIVE.items():
        made.setsockopt(socket.IPPROTO_TCP, option, value)
    return made


def _refusal(response: aiohttp.ClientResponse, text: str) -> Exception:
    status = response.status
    if status == 401:
        return UnauthorizedError("The verifier refuses the job's token.")
    if status == 400:
        return DataError(f"The verifier refuses the batch ({status}): {text}")
    if status == 413:
        return TooLargeError(f"HTTP 413: {text}")
    if status == 429 or status >= 500:
        wait = response.headers.get("Retry-After", "")
        return BusyError(f"HTTP {status}: {text}", float(wait) if wait.isdecimal() else 0.0)
    return VerifierError(f"{response.url} is no verifier, it answers {status}: {text}")
