"""SIGKILL at random instants, and at chosen stages."""

import random
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from signal import SIGKILL
from statistics import median
from typing import Any

from marks import Aim, Stage
from run import Run, Undisturbed, drawn, new_run

AIMED = (
    Stage.VALIDATING, Stage.GENERATING, Stage.DRAWN, Stage.VERIFYING, Stage.JOURNAL,
    Stage.PAUSED, Stage.LEARNING, Stage.SYNC, Stage.RESET,
    Stage.STAGING, Stage.SAVING,
)  # fmt: skip
WHILE_LOADING = 0.1
"""Share of the random kills that come before the first step: a start takes as long as many steps,
and would get most of them."""
REACH = 1.6
"""Longest time to a kill, in fair shares of the steps that the kills to come divide. It is below 2,
so that few runs end before they were killed as often as they should."""


class Kills:
    """Disturbs runs and counts."""

    def __init__(self, directory: Path, undisturbed: Undisturbed, seed: int) -> None:
        self._directory = directory
        self._undisturbed = undisturbed
        self._rng = random.Random(seed)
        self._spread = 1.0
        self.stages: Counter[str] = Counter()
        self.runs = 0
        self.kills = 0
        self.problems: list[str] = []
        self.by_kills: Counter[int] = Counter()
        self.random_runs: dict[str, dict[int, int]] = {}
        """Kills wanted -> kills had -> runs."""
        self.relearned = 0
        """Steps that were learned once more: the lost ones, and the learning of those whose groups
        were in the journal."""
        self.generated = 0

    def at_random(self, runs: int, kills: int) -> None:
        """Each run is killed so many times, anywhere between fork and end."""
        before = Counter(self.by_kills)
        for _ in range(runs):
            self._disturb([None] * kills)
        self.random_runs[str(kills)] = dict(sorted((self.by_kills - before).items()))

    def at(self, stages: Sequence[Stage], *, spread: float = 1.0) -> None:
        """One run, killed at each of the stages in turn: within this share of the time that the
        stage usually takes. With 0 at its beginning, whatever time anything takes."""
        self._spread = spread
        self._disturb(stages)

    def figures(self) -> dict[str, Any]:
        """What was done and found."""
        return {
            "runs": self.runs,
            "kills": self.kills,
            "kills by what was going on": dict(sorted(self.stages.items())),
            "runs by kills": dict(sorted(self.by_kills.items())),
            "of these at random, by kills wanted": self.random_runs,
            "steps learned again": self.relearned,
            "groups generated": self.generated,
            "problems": self.problems,
        }

    def _disturb(self, kills: Sequence[Stage | None]) -> None:
        run = new_run(self._directory / f"run-{self.runs}")
        code: int | None = None
        for left, stage in zip(range(len(kills), 0, -1), kills, strict=True):
            code = self._at_random(run, left) if stage is None else self._aimed(run, stage)
            if code >= 0:
                break  # it had nothing left to do
        if code != 0:
            run.finish()
        run.compare(self._undisturbed.run)
        self._count(run)

    def _at_random(self, run: Run, left: int) -> int:
        attempt = run.start()
        longest_s = self._undisturbed.start_s
        if self._rng.random() > WHILE_LOADING:
            run.wait_loaded(attempt)
            longest_s = REACH * self._undisturbed.steps_s / (left + 1)
        if not attempt.wait(self._rng.uniform(0, longest_s)):
            attempt.send(SIGKILL)
        return run.end(attempt)

    def _aimed(self, run: Run, stage: Stage) -> int:
        times = self._undisturbed.times[stage]
        nth = self._rng.randint(1, max(1, len(times) // 4))
        delay_s = self._rng.uniform(0, median(times) * self._spread)
        return run.end(run.start(Aim(stage=stage, nth=nth, delay_s=delay_s)))

    def _count(self, run: Run) -> None:
        self.runs += 1
        self.stages += run.stages
        self.kills += run.stages.total()
        learned = [step for step, _ in run.ledger()]
        self.by_kills[run.stages.total()] += 1
        self.relearned += len(learned) - len(set(learned))
        self.generated += len(drawn(run.directory))
        name = run.directory.name
        self.problems += [f"{name}: {problem}" for problem in run.problems]
        if not run.problems:
            shutil.rmtree(run.directory)
