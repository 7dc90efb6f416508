"""What the service has taken in and not answered yet: bounded in bytes, awaited at the end."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import Gauge


class IntakeFullError(Exception):
    """More bytes would be in flight than max_bytes."""


class Intake:
    """Bodies that are being read or judged. Memory is bounded by them: a text is held once as the
    body's bytes, and while it is parsed at most twice more with up to four bytes per character."""

    def __init__(self, max_bytes: int, in_flight: Gauge) -> None:
        self._max_bytes = max_bytes
        self._num_bytes = 0
        self._num_batches = 0
        in_flight.set_function(lambda: self._num_bytes)
        self._empty = asyncio.Event()
        self._empty.set()

    @contextmanager
    def hold(self, num_bytes: int) -> Iterator[None]:
        """Counts a body until it is answered. Raises IntakeFullError if there is no room for it."""
        if self._num_bytes + num_bytes > self._max_bytes:
            raise IntakeFullError(
                f"{self._num_bytes} bytes are in flight, {num_bytes} more would exceed "
                f"{self._max_bytes}"
            )
        self._change(num_bytes, 1)
        try:
            yield
        finally:
            self._change(-num_bytes, -1)

    async def emptied(self) -> None:
        """Returns when everything has been answered."""
        await self._empty.wait()

    def _change(self, num_bytes: int, num_batches: int) -> None:
        self._num_bytes += num_bytes
        self._num_batches += num_batches
        if self._num_batches:
            self._empty.clear()
        else:
            self._empty.set()
