"""Passing records on to a tracker that may be slow, broken or far away, without waiting for it.

Each tracker has a thread of its own and a bounded queue. What does not fit and what the tracker
refuses is counted and lost: metrics.jsonl has everything.
"""

import logging
import queue
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from prorl_trainer.errors import one_line

log = logging.getLogger(__name__)

QUEUE_RECORDS = 1000
CLOSE_TIMEOUT_S = 20.0
"""For all trackers of a run together: a pod that must go has little time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """What a tracker is told about the run."""

    uid: str
    """The job's UID: the same for every attempt, so that a resumed run goes on with its curve."""
    name: str
    config: Mapping[str, str | int | float | bool]


class Sink(Protocol):
    """An open run in a tracker. Any method may raise anything."""

    def record(self, values: Mapping[str, float], step: int, now: float) -> None:
        """Values of one RL step; `now` is Unix time in seconds."""
        ...

    def close(self) -> None:
        """Ends the attempt; the run can be resumed."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class _Item:
    values: Mapping[str, float]
    step: int
    now: float


class Forwarder:
    """One tracker."""

    def __init__(
        self,
        name: str,
        open_sink: Callable[[], Sink],
        on_lost: Callable[[], None],
        size: int = QUEUE_RECORDS,
    ) -> None:
        self._name = name
        self._open_sink = open_sink
        self._on_lost = on_lost
        self._warned = False
        self._queue: queue.Queue[_Item | None] = queue.Queue(size)
        self._thread = threading.Thread(target=self._work, name=f"tracker-{name}", daemon=True)
        self._thread.start()

    def record(self, values: Mapping[str, float], step: int, now: float) -> None:
        """Returns at once, whatever the tracker does."""
        try:
            self._queue.put_nowait(_Item(values=dict(values), step=step, now=now))
        except queue.Full:
            self._lose(f"it takes records too slowly: {self._queue.maxsize} are waiting")

    def close(self, timeout_s: float = CLOSE_TIMEOUT_S) -> None:
        """Gives it that long for what is waiting."""
        try:
            self._queue.put(None, timeout=timeout_s)
        except queue.Full:
            log.warning("tracker=%s left with records that it has not taken", self._name)
            return
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            log.warning("tracker=%s has not ended within %.0f s", self._name, timeout_s)

    def _work(self) -> None:
        sink: Sink | None = None
        while (item := self._queue.get()) is not None:
            try:
                sink = sink or self._open_sink()
                sink.record(item.values, item.step, item.now)
            except Exception as error:  # training must not notice
                self._lose(one_line(error))
        try:
            if sink is not None:
                sink.close()
        except Exception as error:  # nor its end
            log.warning("tracker=%s did not end well: %s", self._name, one_line(error))

    def _lose(self, why: str) -> None:
        self._on_lost()
        if not self._warned:
            self._warned = True
            log.warning(
                "tracker=%s loses records, which training does not wait for: %s", self._name, why
            )
