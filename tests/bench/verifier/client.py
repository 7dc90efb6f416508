"""A client that costs little: requests that were written before, over connections that stay."""

import asyncio
import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from verifier_process import HEADERS

CONNECTIONS = 32
"""Requests at once."""


def request(body: bytes) -> bytes:
    """As it is sent."""
    lines = [f"{name}: {value}\r\n" for name, value in HEADERS.items()]
    head = f"POST /v1/verify HTTP/1.1\r\nHost: bench\r\n{''.join(lines)}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def ask(urls: list[str], requests: list[bytes]) -> list[bytes]:
    """The bodies of the answers. Whoever is faster is asked more often."""
    answers: list[bytes] = [b""] * len(requests)
    waiting = iter(enumerate(requests))
    connections = (urls[number % len(urls)] for number in range(CONNECTIONS))
    await asyncio.gather(*(_converse(url, waiting, answers) for url in connections))
    return answers


async def _converse(url: str, waiting: Iterator[tuple[int, bytes]], answers: list[bytes]) -> None:
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    for number, sent in waiting:
        writer.write(sent)
        head = await reader.readuntil(b"\r\n\r\n")
        size = re.search(rb"Content-Length: (\d+)", head)
        assert head.startswith(b"HTTP/1.1 200 "), head
        assert size is not None
        answers[number] = await reader.readexactly(int(size[1]))
    writer.close()
