"""Engines are asked how they work: for the metrics, and to find one whose process lives but which
draws no token any more."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from prorl_trainer.errors import EngineLostError
from prorl_trainer.rollout.pool_engine import PoolEngine
from prorl_trainer.rollout.stats import EngineStats

STALL_SECONDS = 600.0
"""Far above the slowest iteration of an engine that works: one long prompt on a busy CPU."""
ASK_SECONDS = 5.0


@dataclass(kw_only=True, slots=True)
class Stall:
    """Decides from what is seen of an engine now and then. Times are in seconds, of any clock."""

    limit_s: float
    _progress: int | None = None
    _since: float | None = None
    """Last time at which there was progress or nothing to do."""

    def seen(self, *, now: float, busy: bool, progress: int | None) -> bool:
        """True if the engine was busy for limit_s without progress. progress: that of its stats;
        None when it did not answer."""
        moved = progress is not None and progress != self._progress
        if not busy or moved or self._since is None:
            self._since = now
        if progress is not None:
            self._progress = progress
        return now - self._since >= self.limit_s


async def watch(
    engine: PoolEngine,
    is_busy: Callable[[], bool],
    told: Callable[[str, EngineStats], None],
    *,
    limit_s: float,
) -> NoReturn:
    """Asks the engine how it works, now and then, and passes its answers on. Raises EngineLostError
    when it has stalled, or when the engine does."""
    stall = Stall(limit_s=limit_s)
    pause = min(ASK_SECONDS, limit_s / 4)
    clock = asyncio.get_running_loop().time
    while True:
        stats = await _ask(engine, pause)
        if stats is not None:
            told(engine.name, stats)
        progress = None if stats is None else stats.progress
        if stall.seen(now=clock(), busy=is_busy(), progress=progress):
            raise EngineLostError(engine.name, f"it has drawn no token for {limit_s:.0f} s")
        await asyncio.sleep(pause)


async def _ask(engine: PoolEngine, timeout_s: float) -> EngineStats | None:
    try:
        async with asyncio.timeout(timeout_s):
            return await engine.stats()
    except TimeoutError:
        return None
