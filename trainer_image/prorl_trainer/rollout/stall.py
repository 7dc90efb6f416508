"""An engine whose process lives but which draws no token any more."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

STALL_SECONDS = 600.0
"""Far above the slowest iteration of an engine that works: one long prompt on a busy CPU."""
ASK_SECONDS = 5.0


@dataclass(kw_only=True, slots=True)
class Stall:
    """Decides from what is seen of an engine now and then. Times are in seconds, of any clock."""

    limit_s: float
    _tokens: int | None = None
    _since: float | None = None
    """Last time at which there was progress or nothing to do."""

    def seen(self, *, now: float, busy: bool, tokens: int | None) -> bool:
        """True if the engine was busy for limit_s without progress. tokens: drawn so far; None
        when it did not answer."""
        progress = tokens is not None and tokens != self._tokens
        if not busy or progress or self._since is None:
            self._since = now
        if tokens is not None:
            self._tokens = tokens
        return now - self._since >= self.limit_s


async def wait_stalled(
    tokens_drawn: Callable[[], Awaitable[int]],
    is_busy: Callable[[], bool],
    *,
    limit_s: float,
) -> None:
    """Returns when the engine has stalled; raises what tokens_drawn raises."""
    stall = Stall(limit_s=limit_s)
    pause = min(ASK_SECONDS, limit_s / 4)
    clock = asyncio.get_running_loop().time
    while True:
        await asyncio.sleep(pause)
        tokens = await _ask(tokens_drawn, pause) if is_busy() else None
        if stall.seen(now=clock(), busy=is_busy(), tokens=tokens):
            return


async def _ask(tokens_drawn: Callable[[], Awaitable[int]], timeout_s: float) -> int | None:
    try:
        async with asyncio.timeout(timeout_s):
            return await tokens_drawn()
    except TimeoutError:
        return None
