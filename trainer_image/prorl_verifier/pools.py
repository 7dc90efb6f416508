"""Who judges what: scorers of ours, model-written programs, and custom verifiers, apart."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Protocol

from prorl_verifier.pool import MEMORY_WORDS, Crew, WorkerPool
from prorl_verifier.sandbox.budget import patience_s
from prorl_verifier.sandbox.levels import Isolation
from prorl_verifier.wire import INFRA_ERROR, VERIFIERS, Item, Verdict, unjudged

CODE = "code"
NOT_RUN = "isolation none: programs are not run on this node"
SLACK_S = 30.0
"""Beyond all that a sandbox may take: a code worker that is later is broken."""


def code_crew(isolation: Isolation, *, workers: int, timeout_s: float) -> Crew:
    """Workers that keep the limit of time themselves."""
    words = [*MEMORY_WORDS, str(int(isolation)), str(timeout_s)]
    return Crew(
        workers=workers,
        timeout_s=patience_s(timeout_s) + SLACK_S,
        command=("prorl_verifier.code_worker", *words),
        late_outcome=INFRA_ERROR,
        ahead_s=0.0,
    )


def plugin_crew(*, workers: int, timeout_s: float) -> Crew:
    """Workers for the custom verifiers that are installed."""
    words = ("prorl_verifier.plugin_worker", *MEMORY_WORDS)
    return Crew(workers=workers, timeout_s=timeout_s, command=words, ahead_s=0.0)


class Judge(Protocol):
    """A WorkerPool, or what judges as one does."""

    def open(self) -> None:
        """Begins in the background."""

    async def close(self) -> None:
        """Ends at once."""

    def check_room(self, num_items: int) -> None:
        """Raises QueueFullError if so many more may not wait."""

    async def verify(self, items: list[Item]) -> list[Verdict]:
        """One verdict per item, in order."""


class Pools:
    """A pool for `code` (None where no program may be run), one for the other verifiers of this
    service, and `custom` ones by the names of what they judge."""

    def __init__(
        self,
        scorers: WorkerPool,
        code: WorkerPool | None,
        custom: Mapping[str, Judge] | None = None,
    ) -> None:
        self._own = [pool for pool in (scorers, code) if pool is not None]
        self._judges: dict[str, Judge | None] = dict.fromkeys(VERIFIERS, scorers)
        self._judges |= {CODE: code, **(custom or {})}
        self._all: list[Judge] = _distinct(self._judges.values())
        self.names = sorted(self._judges)
        """The verifiers that items may name."""

    @property
    def ready(self) -> bool:
        """Every pool of this service has a worker; a custom verifier cannot hold them up."""
        return all(pool.ready for pool in self._own)

    def open(self) -> None:
        """Starts the workers in the background."""
        for judge in self._all:
            judge.open()

    async def close(self) -> None:
        """Kills the workers."""
        await asyncio.gather(*(judge.close() for judge in self._all))

    async def verify(self, items: list[Item]) -> list[Verdict]:
        """One verdict per item, in order. Raises QueueFullError, then nothing was accepted."""
        judges = [self._judges.get(item.verifier) for item in items]
        if len(set(judges)) == 1 and judges[0] is not None:
            return await judges[0].verify(items)  # as most batches: not a task for it, no sorting
        parts = {
            judge: [item for item, its in zip(items, judges, strict=True) if its is judge]
            for judge in _distinct(judges)
        }
        for judge, part in parts.items():
            judge.check_room(len(part))
        found = await asyncio.gather(*(judge.verify(part) for judge, part in parts.items()))
        of = {verdict.id: verdict for verdicts in found for verdict in verdicts}
        return [of.get(item.id) or self._unjudged(item) for item in items]

    def _unjudged(self, item: Item) -> Verdict:
        if item.verifier in self._judges:
            return unjudged(item.id, NOT_RUN)
        has = ", ".join(self.names)
        return unjudged(item.id, f"unknown verifier {item.verifier!r}; this service has: {has}")


def _distinct(judges: Iterable[Judge | None]) -> list[Judge]:
    return list(dict.fromkeys(judge for judge in judges if judge is not None))
