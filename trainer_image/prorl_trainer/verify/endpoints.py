"""Which verifier gets what: the least loaded first, and none that has just failed. Pure: times are
seconds of any clock."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

MAX_REQUESTS = 32
"""To one endpoint at once."""
MAX_ITEMS = 16
"""In one request: a verdict waits for the slowest one that it travels with."""
FIRST_PAUSE_S = 0.2
MAX_PAUSE_S = 5.0
"""Longest pause after a failure, unless the endpoint asks for a longer one."""


class Job(Protocol):
    """What is to be judged, as it is seen here."""

    @property
    def failed_at(self) -> str | None:
        """URL where it was not judged; another one is better."""
        ...


J = TypeVar("J", bound=Job)


@dataclass(kw_only=True, slots=True, eq=False)
class Endpoint:
    """One verifier. After a failure it is set aside, then on trial until it answers: with one item
    at a time, so that a dead one holds up nothing else."""

    url: str
    requests: int = 0
    """In flight."""
    items: int = 0
    """In these requests."""
    pause_s: float = 0.0
    """The last one; 0 after an answer."""
    aside_until: float = 0.0

    def room(self, now: float) -> int:
        """Items that it may be given now."""
        if now < self.aside_until:
            return 0
        if self.pause_s > 0:
            return int(self.requests == 0)
        return MAX_ITEMS * (MAX_REQUESTS - self.requests)

    def begin(self, items: int) -> None:
        """A request is on its way."""
        self.requests += 1
        self.items += items

    def end(self, items: int) -> None:
        """It is over, whatever came of it."""
        self.requests -= 1
        self.items -= items

    def answered(self) -> None:
        """It works."""
        self.pause_s = 0.0

    def failed(self, now: float, *, retry_after_s: float = 0.0) -> bool:
        """Sets it aside; True if it was not yet. What fails together counts once."""
        first = now >= self.aside_until
        if first:
            self.pause_s = min(max(2 * self.pause_s, FIRST_PAUSE_S), MAX_PAUSE_S)
        until = now + max(self.pause_s, retry_after_s)
        self.aside_until = max(self.aside_until, until)
        return first


class Endpoints:
    """All verifiers that are known."""

    def __init__(self) -> None:
        self._of: dict[str, Endpoint] = {}

    @property
    def known(self) -> list[Endpoint]:
        """In the order of their URLs."""
        return [self._of[url] for url in sorted(self._of)]

    def update(self, urls: Sequence[str]) -> None:
        """Those that are there now; one that stays keeps its state."""
        self._of = {url: self._of.get(url) or Endpoint(url=url) for url in urls}

    def next_change(self, now: float) -> float | None:
        """When an endpoint will no longer be aside."""
        return min((e.aside_until for e in self._of.values() if e.aside_until > now), default=None)

    def assign(self, waiting: deque[J], now: float) -> list[tuple[Endpoint, list[J]]]:
        """Takes from the front what can be sent now: one request per pair."""
        room = {e: e.room(now) for e in self.known if e.room(now) > 0}
        given: dict[Endpoint, list[J]] = {e: [] for e in room}
        while waiting and room:
            job = waiting.popleft()
            others = [e for e in room if e.url != job.failed_at]
            chosen = min(others or room, key=lambda e: e.items + len(given[e]))
            given[chosen].append(job)
            room[chosen] -= 1
            if room[chosen] == 0:
                del room[chosen]
        return [
            (endpoint, jobs[first : first + MAX_ITEMS])
            for endpoint, jobs in given.items()
            for first in range(0, len(jobs), MAX_ITEMS)
        ]
