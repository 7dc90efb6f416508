"""A deduplicating work queue with per-key exponential backoff, as controller-runtime has it."""

import asyncio
import itertools
import random
import time

from prorl_operator.plan.observed import Key

BASE_S = 0.5
CAP_S = 300.0


class WorkQueue:
    """A key is never worked on twice at once; what arrives meanwhile causes one more run. What was
    added with a delay could wait: it comes after everything that was not."""

    def __init__(self, base_s: float = BASE_S, cap_s: float = CAP_S) -> None:
        self._base_s, self._cap_s = base_s, cap_s
        self._failures: dict[Key, int] = {}
        self._dirty: dict[Key, bool] = {}
        """Whether the key could wait."""
        self._busy: set[Key] = set()
        self._since: dict[Key, float] = {}
        self._timers: dict[Key, asyncio.TimerHandle] = {}
        self._number = itertools.count()
        self._ready: asyncio.PriorityQueue[tuple[bool, int, Key]] = asyncio.PriorityQueue()
        """Those that could not wait first, each in the order of arrival."""
        self.retries = 0
        """Failed runs since the start."""

    def __len__(self) -> int:
        """Keys that wait for a worker."""
        return len(self._dirty.keys() - self._busy)

    @property
    def oldest_wait_s(self) -> float:
        """Seconds since the first of the keys that wait was added; 0 for none."""
        first = min(self._since.values(), default=None)
        return 0.0 if first is None else time.monotonic() - first

    def add(self, key: Key, delay_s: float = 0.0) -> None:
        """Of several delays the earliest wins."""
        if delay_s > 0:
            self._add_later(key, delay_s)
        else:
            self._add_now(key, could_wait=False)

    def _add_now(self, key: Key, *, could_wait: bool) -> None:
        known = self._dirty.get(key)
        if known is None:
            self._since[key] = time.monotonic()
        elif not known or could_wait:
            return
        self._dirty[key] = could_wait
        if key not in self._busy:
            self._put(key)

    def _put(self, key: Key) -> None:
        self._ready.put_nowait((self._dirty[key], next(self._number), key))

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
        self._add_now(key, could_wait=True)

    async def get(self) -> Key:
        """Waits for a key; `done` must follow."""
        while True:
            could_wait, _, key = await self._ready.get()
            if key not in self._busy and self._dirty.get(key) is could_wait:
                break  # else it has been moved ahead, and this was its old place
        del self._dirty[key], self._since[key]
        self._busy.add(key)
        return key

    def done(self, key: Key) -> None:
        """The run is over; another one follows if the key was added meanwhile."""
        self._busy.discard(key)
        if key in self._dirty:
            self._put(key)

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
