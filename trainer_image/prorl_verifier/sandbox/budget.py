"""How much time the processes of one program have used, and what is left of its limit."""

import os
import time
from collections.abc import Callable
from pathlib import Path

PATIENCE, PATIENCE_S = 5, 60.0


def patience_s(limit_s: float) -> float:
    """A node that has not given a program its time within so many seconds is overloaded."""
    return PATIENCE * limit_s + PATIENCE_S


class Overloaded(RuntimeError):
    """The node did not get round to the program: nobody knows what it is worth."""


def waiting_s(process: int) -> float:
    """How long the process, or this one that talks to it, was ready and not given a processor: they
    take turns."""
    return _waiting_s(process) + _waiting_s(os.getpid())


def _waiting_s(process: int) -> float:
    try:
        return int(Path(f"/proc/{process}/schedstat").read_text("ascii").split()[1]) / 1e9
    except (FileNotFoundError, ProcessLookupError):
        return 0.0


class Budget:
    """Time that passes while a process runs, sleeps or waits for anything but a processor.

    The kernel counts the wait for a processor (/proc/PID/schedstat; where there is none it counts
    as used), so that a verdict does not depend on what else the node does."""

    def __init__(
        self,
        limit_s: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        waited_s: Callable[[int], float] = waiting_s,
    ) -> None:
        self.limit_s = limit_s
        self._clock = clock
        self._wait_of = waited_s
        self._used_s = 0.0
        self._process = 0
        self._begin = 0.0
        self._waited_s = 0.0
        self._give_up = clock() + patience_s(limit_s)

    def start(self, process: int) -> None:
        """From now on the time of this process counts."""
        self._process = process
        self._waited_s = self._wait_of(process)
        self._begin = self._clock()

    def stop(self) -> None:
        """The process may be ended: what it has used is kept."""
        self._used_s, self._process = self.used_s, 0

    @property
    def used_s(self) -> float:
        """Of all processes so far."""
        if not self._process:
            return self._used_s
        passed = self._clock() - self._begin
        return self._used_s + max(0.0, passed - self._wait_of(self._process) + self._waited_s)

    @property
    def left_s(self) -> float:
        """Raises Overloaded."""
        left = self.limit_s - self.used_s
        if left > 0 and self._clock() > self._give_up:
            passed = patience_s(self.limit_s)
            raise Overloaded(f"of {passed:g} s the node has given it {self.used_s:.1f} s only")
        return left
