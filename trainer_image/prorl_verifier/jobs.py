"""Items on their way to a verdict: the batches they came in, the queue, and what a worker holds."""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from prorl_verifier.runs import Answer, pack
from prorl_verifier.wire import FAIL, INFRA_ERROR, PASS, Item, Verdict

FIRST_PACE_S = 0.1
"""Seconds per verdict, before anything is known of a worker."""
MAX_AHEAD, MAX_AHEAD_BYTES = 256, 1 << 20
PACE_WEIGHT = 1 / 8
"""Of the last verdict in the mean of a worker's seconds per verdict."""


class Batch:
    """Items that are answered together, in order, when the last has its verdict. It does not know
    its runs, which know it: what is done is freed without the garbage collector."""

    def __init__(self, items: list[Item]) -> None:
        self.answered: asyncio.Future[list[Verdict]] = asyncio.get_running_loop().create_future()
        self.crashes: Counter[str] = Counter()
        """By the id of the item over which so many workers have failed."""
        self._items = items
        self._verdicts: dict[str, Verdict] = {}
        if not items:
            self.answered.set_result([])

    def lacks(self, item: Item) -> bool:
        """Somebody waits for its verdict."""
        return item.id not in self._verdicts and not self.answered.done()

    def still_open(self, items: list[Item]) -> list[Item]:
        """Those that any worker may take: not those that a fresh one is kept for."""
        if self.answered.done():
            return []
        return [i for i in items if i.id not in self._verdicts and i.id not in self.crashes]

    def put(self, verdicts: Iterable[Verdict]) -> None:
        """Any but the first for an item is dropped."""
        for verdict in verdicts:
            self._verdicts.setdefault(verdict.id, verdict)
        if len(self._verdicts) == len(self._items) and not self.answered.done():
            self.answered.set_result([self._verdicts[item.id] for item in self._items])


@dataclass(kw_only=True, slots=True, eq=False)
class Run:
    """Neighbours of a batch that travel together. It is never empty where one is waited for."""

    batch: Batch
    items: list[Item]
    num_bytes: int = 0
    """Of what a worker was sent."""
    is_offered: bool = False
    """It waits for other workers as well, which answer for it from then on."""

    def split(self, most: int) -> "Run":
        """Takes its first items off."""
        first = Run(batch=self.batch, items=self.items[:most], is_offered=self.is_offered)
        self.items = self.items[most:]
        return first

    def answer(self, answers: list[Answer]) -> None:
        """One for each of its items."""
        self.batch.put(map(_verdict, self.items, answers))

    def finish(self, outcome: str, score: float | None, reason: str, seconds: float) -> None:
        """The same verdict for all that has none."""
        self.batch.put(
            Verdict(id=item.id, outcome=outcome, score=score, reason=reason, seconds=seconds)
            for item in self.items
        )


def _verdict(item: Item, answer: Answer) -> Verdict:
    score, outcome, reason = answer.score, FAIL, answer.reason
    if score is None:
        outcome, reason = INFRA_ERROR, answer.error
    elif score >= 1.0:
        outcome = PASS
    return Verdict(id=item.id, outcome=outcome, score=score, reason=reason, seconds=answer.seconds)


class Waiting:
    """Runs that no worker has. Its length is in items."""

    def __init__(self) -> None:
        self._runs: deque[Run] = deque()
        self._num_items = 0
        self._arrival = asyncio.Event()

    def __len__(self) -> int:
        return self._num_items

    def add(self, run: Run) -> None:
        """At the end."""
        self._runs.append(run)
        self._num_items += len(run.items)
        self._arrival.set()

    def put_back(self, runs: Iterable[Run]) -> None:
        """At the front, in this order, what is open of them."""
        for run in reversed([*runs]):
            if items := run.batch.still_open(run.items):
                self._runs.appendleft(Run(batch=run.batch, items=items))
                self._num_items += len(items)
        self._arrival.set()

    def take(self, most: int) -> Run | None:
        """The first so many items, or fewer: of one batch, and what is open of them."""
        while self._runs:
            run = self._runs[0].split(most)
            if not self._runs[0].items:
                self._runs.popleft()
            self._num_items -= len(run.items)
            run.items = run.batch.still_open(run.items)
            if run.items:
                return run
        return None

    async def arrival(self) -> None:
        """Returns when there are any; somebody else may be faster to take them."""
        while not self._runs:
            self._arrival.clear()
            await self._arrival.wait()


@dataclass(kw_only=True, slots=True)
class Flight:
    """What one worker was sent and has not answered, in order. It judges the first item.

    It is sent about `ahead_s` seconds of work, and at least one item."""

    ahead_s: float
    suspect: Run | None = None
    """One item, judged before all others: another worker has failed over it, and a fresh one tells
    whether by its fault."""
    is_fresh: bool = True
    """The worker has not judged anything yet."""
    runs: deque[Run] = field(default_factory=deque)
    begin: float = 0.0
    """Since when the first is judged, of time.monotonic."""
    is_stalled: bool = False
    """The first takes so long that the others were offered to other workers."""
    _pace_s: float = FIRST_PACE_S

    def __len__(self) -> int:
        return sum(len(run.items) for run in self.runs)

    def load(self, waiting: Waiting, num_workers: int) -> bytes:
        """Takes items, no more than this worker's share, when it has judged half of what it had;
        what asks for their verdicts."""
        if self.is_stalled:
            return b""
        if not self.runs:
            self.start_clock()
        most = min(MAX_AHEAD, max(1, int(self.ahead_s / self._pace_s)))
        room = most - len(self) if 2 * len(self) <= most else 0
        sent: list[bytes] = []
        if self.suspect is not None and self.suspect.batch.lacks(self.suspect.items[0]):
            sent.append(self._board(self.suspect, waiting))
            room -= 1
        self.suspect = None
        room = min(room, -(-len(waiting) // num_workers))
        while room > 0 and self._num_bytes() < MAX_AHEAD_BYTES and (run := waiting.take(room)):
            sent.append(self._board(run, waiting))
            room -= len(run.items)
        return b"".join(sent)

    def _num_bytes(self) -> int:
        return sum(run.num_bytes for run in self.runs)

    def _board(self, run: Run, waiting: Waiting) -> bytes:
        """Of a run that is too large, half waits again."""
        text = pack(run.items)
        while len(text) > MAX_AHEAD_BYTES and len(run.items) > 1:
            whole, run.items = run.items, run.items[: len(run.items) // 2]
            waiting.put_back([Run(batch=run.batch, items=whole[len(run.items) :])])
            text = pack(run.items)
        run.num_bytes, run.is_offered = len(text), False
        self.runs.append(run)
        return text

    def land(self, answers: list[Answer]) -> None:
        """Gives the first so many items their verdicts; there may be fewer."""
        if not answers:
            return
        self.is_fresh = False
        mean_s = max(sum([answer.seconds for answer in answers]) / len(answers), 1e-6)
        self._pace_s += (1 - (1 - PACE_WEIGHT) ** len(answers)) * (mean_s - self._pace_s)
        while answers and self.runs:
            run = self.take_off(len(answers))
            run.answer(answers[: len(run.items)])
            answers = answers[len(run.items) :]

    def take_off(self, most: int) -> Run:
        """The first so many items, or fewer: of one run."""
        first = self.runs[0].split(most)
        if not self.runs[0].items:
            self.runs.popleft()
        return first

    def own(self) -> list[Run]:
        """What no other worker answers for."""
        return [run for run in self.runs if not run.is_offered]

    def offer(self) -> list[Run]:
        """All behind the first item, which others may have from now on."""
        self.is_stalled = True
        first = self.take_off(1)
        others = self.own()
        for run in others:
            run.is_offered = True
        self.runs.appendleft(first)
        return others

    def start_clock(self) -> None:
        """The first is judged from now on."""
        self.begin, self.is_stalled = time.monotonic(), False
