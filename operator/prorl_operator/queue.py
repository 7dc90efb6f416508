"""A deduplicating work queue with per-key exponential backoff, as controller-runtime has it."""

import asyncio
import random
import time

from prorl_operator.plan.observed import Key

BASE_S = 0.5
CAP_S = 300.0


class WorkQueue:
    """A key is never worked on twice at once; what arrives meanwhile causes one more run."""

    def __init__(self, base_s: float = BASE_S, cap_s: float = CAP_S) -> None:
        self._base_s, self._cap_s = base_s, cap_s
        self._failures: dict[Key, int] = {}
        self._dirty: set[Key] = set()
        self._busy: set[Key] = set()
        self._since: dict[Key, float] = {}
        self._timers: dict[Key, asyncio.TimerHandle] = {}
        self._ready: asyncio.Queue[Key] = asyncio.Queue()
        self.retries = 0
        """Failed runs since the start."""

    def __len__(self) -> int:
        """Keys that wait for a worker."""
        return self._ready.qsize()

    @property
    def oldest_wait_s(self) -> float:
        """Seconds since the first of the keys that wait was added; 0 for none."""
        first = min(self._since.values(), default=None)
        return 0.0 if first is None else time.monotonic() - first

    def add(self, key: Key, delay_s: float = 0.0) -> None:
        """Of several delays the earliest wins."""
        if delay_s > 0:
            self._add_later(key, delay_s)
        elif key not in self._dirty:
            self._dirty.add(key)
            self._since[key] = time.monotonic()
            if key not in self._busy:
                self._ready.put_nowait(key)

    def _add_later(self, key: Key, delay_s: float) -> None:
        loop = asyncio.get_running_loop()
        at, timer = loop.time() + delay_s, self._timers.get(key)
        if timer is not None and timer.when() <= at:
            return
        if timer is not None:
            timer.cancel()
        self._timers[key] = loop.call_at(at, self._fire, key)

    def _fire(self, key: Key) -> None:
        self._timers.pop(key, None)
        self.add(key)

    async def get(self) -> Key:
        """Waits for a key; `done` must follow."""
        key = await self._ready.get()
        self._dirty.discard(key)
        self._since.pop(key, None)
        self._busy.add(key)
        return key

    def done(self, key: Key) -> None:
        """The run is over; another one follows if the key was added meanwhile."""
        self._busy.discard(key)
        if key in self._dirty:
            self._ready.put_nowait(key)

    def retry(self, key: Key) -> float:
        """After a failed run. Returns the delay in seconds."""
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        self.retries += 1
        # Jitter, so that keys that failed together do not come back together.
        pause_s = self._base_s * 2.0 ** min(failures - 1, 30) * random.uniform(0.8, 1.2)
        delay_s = min(self._cap_s, pause_s)
        self.add(key, delay_s)
        return delay_s

    def forget(self, key: Key) -> None:
        """After a good run."""
        self._failures.pop(key, None)
