"""Where the verifiers are: every ready pod is an address of the headless Service's name."""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import urlsplit

log = logging.getLogger(__name__)

Resolve = Callable[[], Awaitable[Sequence[str]]]
"""Base URLs of all verifiers now. Raises OSError."""

RESOLVE_SECONDS = 5.0
RESOLVE_AGAIN_SECONDS = 0.5
"""At least, between two look-ups."""


def by_name(base_url: str) -> Resolve:
    """One URL for each address that the URL's host has."""
    parts = urlsplit(base_url)

    async def resolve() -> Sequence[str]:
        loop = asyncio.get_running_loop()
        rows = await loop.getaddrinfo(parts.hostname, parts.port, type=socket.SOCK_STREAM)
        hosts = sorted({str(address[0]) for *_, address in rows})
        return [f"{parts.scheme}://{_literal(host)}:{parts.port}" for host in hosts]

    return resolve


def _literal(host: str) -> str:
    return f"[{host}]" if ":" in host else host


async def watch(
    resolve: Resolve, *, found: Callable[[Sequence[str]], None], again: asyncio.Event
) -> None:
    """Tells `found` the URLs now and then, and soon after `again` is set. What is known stands
    while the name has no address: the pods may be there though the name service is not."""
    while True:
        again.clear()
        try:
            if urls := await resolve():
                found(urls)
        except OSError as error:
            log.warning("the verifiers' name cannot be resolved: %r", error)
        await asyncio.sleep(RESOLVE_AGAIN_SECONDS)
        try:
            async with asyncio.timeout(RESOLVE_SECONDS - RESOLVE_AGAIN_SECONDS):
                await again.wait()
        except TimeoutError:
            pass  # time for the next look-up
