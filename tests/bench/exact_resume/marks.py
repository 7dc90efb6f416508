"""What a process is doing, in a file that outlives it; and a signal for it at a chosen moment."""

import mmap
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path


class Stage(IntEnum):
    """What can be going on."""

    BETWEEN = 0
    LOADING = 1
    VALIDATING = 2
    GENERATING = 3
    DRAWN = 4
    """A completion has ended while others are being drawn."""
    VERIFYING = 5
    JOURNAL = 6
    """A finished group is written and fsynced."""
    PAUSED = 7
    LEARNING = 8
    SYNC = 9
    RESET = 10
    STAGING = 11
    """The state is copied for a save."""
    SAVING = 12
    """From the first file of a checkpoint to the last removed old one, while others go on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Aim:
    """A signal at the n-th beginning of a stage, at once or so many seconds later.

    Later it is SIGALRM from the kernel's timer: without a handler it ends a process as SIGKILL
    does, no instruction later, whatever the interpreter is busy with."""

    stage: Stage
    nth: int = 1
    delay_s: float = 0.0
    number: signal.Signals = signal.SIGKILL


class Marks:
    """A counter for each stage: how many of it are going on."""

    def __init__(self, path: Path, aim: Aim | None = None) -> None:
        """Begins with LOADING."""
        path.write_bytes(bytes(int(stage is Stage.LOADING) for stage in Stage))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), len(Stage))
        self._aim = aim
        self.times: dict[Stage, list[float]] = {stage: [] for stage in Stage}
        """Seconds that each of them took, one after the other, by stage."""
        self._begun = dict.fromkeys(Stage, 0)
        self.hit = False
        """The aim was met."""

    @contextmanager
    def during(self, stage: Stage) -> Iterator[None]:
        """The stage goes on inside."""
        start = time.monotonic()
        self.begin(stage)
        try:
            yield
        finally:
            self.end(stage)
            self.times[stage].append(time.monotonic() - start)

    def begin(self, stage: Stage) -> None:
        """Counts, and sends what was aimed at this moment."""
        self._map[stage] += 1
        self._begun[stage] += 1
        aim = self._aim
        if aim is None or (aim.stage, aim.nth) != (stage, self._begun[stage]):
            return
        self.hit = True
        if aim.delay_s:
            signal.setitimer(signal.ITIMER_REAL, aim.delay_s)
        else:
            os.kill(os.getpid(), aim.number)

    def end(self, stage: Stage) -> None:
        """Counts back."""
        self._map[stage] -= 1


def moment(path: Path) -> str:
    """What a process was doing when it ended: of several at once the last of the list, and whether
    a checkpoint was being written meanwhile."""
    going_on = {Stage(number) for number, count in enumerate(path.read_bytes()) if count}
    what = max(going_on - {Stage.SAVING}, default=Stage.BETWEEN).name
    return f"{what}, SAVING" if Stage.SAVING in going_on else what
