"""Which workers judge what: scorers of ours in one pool, model-written programs in another."""

import asyncio

from prorl_verifier.pool import MEMORY_WORDS, Crew, WorkerPool
from prorl_verifier.sandbox.budget import patience_s
from prorl_verifier.sandbox.levels import Isolation
from prorl_verifier.wire import INFRA_ERROR, Item, Verdict

CODE = "code"
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
    )


class Pools:
    """A pool for `code` (None where no program may be run) and one for all else."""

    def __init__(self, scorers: WorkerPool, code: WorkerPool | None) -> None:
        self._scorers = scorers
        self._code = code
        self._all = [pool for pool in (scorers, code) if pool is not None]

    @property
    def ready(self) -> bool:
        """Every pool has a worker."""
        return all(pool.ready for pool in self._all)

    def open(self) -> None:
        """Starts the workers in the background."""
        for pool in self._all:
            pool.open()

    async def close(self) -> None:
        """Kills the workers."""
        await asyncio.gather(*(pool.close() for pool in self._all))

    async def verify(self, items: list[Item]) -> list[Verdict]:
        """One verdict per item, in order. Raises QueueFullError, then nothing was accepted."""
        code = [item for item in items if item.verifier == CODE]
        rest = [item for item in items if item.verifier != CODE]
        for pool, part in ((self._scorers, rest), (self._code, code)):
            if pool is not None:
                pool.check_room(len(part))
        parts = await asyncio.gather(self._verify_code(code), self._scorers.verify(rest))
        of = {verdict.id: verdict for part in parts for verdict in part}
        return [of[item.id] for item in items]

    async def _verify_code(self, items: list[Item]) -> list[Verdict]:
        if self._code is None:
            return [_not_run(item) for item in items]
        return await self._code.verify(items)


def _not_run(item: Item) -> Verdict:
    return Verdict(
        id=item.id, outcome=INFRA_ERROR, score=None, seconds=0.0,
        reason="isolation none: programs are not run on this node",
    )  # fmt: skip
