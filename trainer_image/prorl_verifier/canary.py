"""Canaries: items with known verdicts that are judged again and again, as everybody's items are.

A round waits its turn behind all that was accepted before it, and the next begins an interval after
its end: real work loses some twenty cheap items per interval, and a long queue delays a round but
never starves it.
"""

import asyncio
import json
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files

from prorl_verifier.metrics import Metrics
from prorl_verifier.pool import QueueFullError
from prorl_verifier.wire import INFRA_ERROR, Item, Verdict

log = logging.getLogger(__name__)

FILE = "canaries.jsonl"
RETRY_SECONDS = 5.0
"""Pause after a round that was not right."""
NOT_YET = "canaries: no round has been judged yet"

Judge = Callable[[list[Item]], Awaitable[list[Verdict]]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Canary:
    """An item and the score that is right for it."""

    item: Item
    score: float


def load() -> list[Canary]:
    """The canaries of this package."""
    lines = (files(__package__) / FILE).read_text(encoding="utf-8").splitlines()
    return [_canary(f"canary-{number}", line) for number, line in enumerate(lines, 1)]


def _canary(identifier: str, line: str) -> Canary:
    fields = json.loads(line)
    score = fields.pop("score")
    return Canary(item=Item(id=identifier, **fields), score=score)


class Canaries:
    """Rounds of canaries through `judge`. `fault` says why the service must not be asked now."""

    def __init__(
        self, judge: Judge, metrics: Metrics, *, canaries: Sequence[Canary], interval_s: float
    ) -> None:
        self._judge = judge
        self._metrics = metrics
        self._canaries = canaries
        self._interval_s = interval_s
        self.fault: str | None = NOT_YET
        for canary in canaries:
            metrics.expect_canary(canary.item.verifier)

    async def run(self) -> None:
        """Rounds for ever, one at a time."""
        while True:
            right = await self.round()
            pause_s = self._interval_s if right else min(self._interval_s, RETRY_SECONDS)
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.5))

    async def round(self) -> bool:
        """Judges all canaries; True if every verdict is right. Infra-errors leave `fault` as it is:
        they neither prove nor disprove a scorer."""
        try:
            verdicts = await self._judge([canary.item for canary in self._canaries])
        except QueueFullError as error:
            log.info("canaries wait: %s", error)
            return False
        pairs = list(zip(self._canaries, verdicts, strict=True))
        wrong = [pair for pair in pairs if _is_wrong(*pair)]
        unjudged = [verdict for verdict in verdicts if verdict.outcome == INFRA_ERROR]
        for canary, verdict in pairs:
            self._metrics.canary(canary.item.verifier, verdict, wrong=_is_wrong(canary, verdict))
        if wrong:
            self._blame(*wrong[0])
        elif not unjudged:
            self._acquit()
        if unjudged:
            log.warning("%d canaries were not judged: %s", len(unjudged), unjudged[0].reason)
        return not wrong and not unjudged

    def _blame(self, canary: Canary, verdict: Verdict) -> None:
        self.fault = (
            f"canaries: {canary.item.verifier} scores {canary.item.id} {verdict.score:g}, right is "
            f"{canary.score:g} ({verdict.reason[:200]})"
        )
        log.error("%s", self.fault)

    def _acquit(self) -> None:
        if self.fault is not None:
            log.info("canaries: all %d verdicts are right", len(self._canaries))
        self.fault = None
        self._metrics.canary_round.set_to_current_time()


def _is_wrong(canary: Canary, verdict: Verdict) -> bool:
    return verdict.outcome != INFRA_ERROR and verdict.score != canary.score
