"""A run over all of its attempts, what it came to, and what must not be: a finished group that is
generated twice, a step that is trained on something else, an end that differs."""

import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from attempt import DRAWN, RESULT, Slow
from forking import MARKS, Attempt, fork, prepare
from job import STEPS, make_context
from marks import Aim, Stage, moment
from parts import LEDGER
from prorl_trainer.checkpoint.manifest import read_manifest
from prorl_trainer.context import Context
from prorl_trainer.journal.record import group_name, read_key

Group = tuple[int, str]
"""Finished steps when it was drawn, and the name of its requests."""


@dataclass(kw_only=True, slots=True)
class Run:
    """One directory."""

    context: Context
    stages: Counter[str] = field(default_factory=Counter)
    """What the attempts that were ended were doing."""
    attempts: int = 0
    problems: list[str] = field(default_factory=list)
    _finished: set[Group] = field(default_factory=set)
    _drawn: int = 0
    """Lines of DRAWN that were looked at."""

    @property
    def directory(self) -> Path:
        return self.context.directory

    def start(self, aim: Aim | None = None, slow: Slow | None = None) -> Attempt:
        """The next attempt."""
        self.attempts += 1
        return fork(self.context, aim, slow)

    def wait_loaded(self, attempt: Attempt) -> None:
        """Until its first step begins, or it has ended."""
        while moment(self.directory / MARKS) == Stage.LOADING.name and not attempt.wait(0.002):
            pass

    def end(self, attempt: Attempt) -> int:
        """Waits for its end and looks at what it has left."""
        code = attempt.ended()
        self._compare_drawn()
        if code < 0:
            self.stages[moment(self.directory / MARKS)] += 1
            self._finished |= set(journalled(self.context.journal))
        return code

    def finish(self) -> None:
        """Attempts that nobody disturbs: one must do."""
        code = self.end(self.start())
        if code:
            self.problems.append(f"an attempt that nobody disturbed ended with {code}")

    def _compare_drawn(self) -> None:
        """No group that was in the journal when an attempt began has been drawn by it."""
        lines = drawn(self.directory)
        again = self._finished.intersection(lines[self._drawn :])
        self._drawn = len(lines)
        self.problems += [f"generated twice: {name} of step {step + 1}" for step, name in again]

    def has_checkpoint(self, step: int) -> bool:
        """A whole one: its directory has its name last."""
        return (self.context.checkpoints / f"step-{step:08d}").exists()

    def outcome(self) -> dict[str, str]:
        """What must be the same whatever has happened: name -> sha256."""
        last = self.context.checkpoints / f"step-{STEPS:08d}"
        # torch's index of the shards has a random name of the save in it.
        names = [n for n in read_manifest(last).files if not n.endswith(".metadata")]
        state = {n: sha256((last / n).read_bytes()).hexdigest() for n in names}
        return self.result.get("digests", {}) | state

    @property
    def result(self) -> dict[str, Any]:
        """Of the last attempt."""
        found: dict[str, Any] = json.loads((self.directory / RESULT).read_text())
        return found

    def ledger(self) -> list[tuple[int, str]]:
        """(step, sha256 of batch and settings) of every update, those that were lost included."""
        found = map(json.loads, lines_of(self.directory / LEDGER))
        return [(line["step"], line["batch"]) for line in found]

    def compare(self, undisturbed: "Run") -> None:
        """Adds what differs to the problems."""
        mine, theirs = self.outcome(), undisturbed.outcome()
        for name in sorted(mine.keys() | theirs.keys()):
            if mine.get(name) != theirs.get(name):
                self.problems.append(f"{name} differs at the end")
        expected = dict(undisturbed.ledger())
        other = sorted({step for step, batch in self.ledger() if batch != expected[step]})
        self.problems += [f"step {step} was trained on something else" for step in other]
        if missing := expected.keys() - dict(self.ledger()).keys():
            self.problems.append(f"never trained: {sorted(missing)}")


def lines_of(path: Path) -> list[str]:
    """None before the first."""
    return path.read_text().splitlines() if path.exists() else []


def drawn(directory: Path) -> list[Group]:
    """Groups in the order in which an engine was asked for them."""
    pairs = (line.split(" ") for line in lines_of(directory / DRAWN))
    return [(int(step), group_name(request)) for step, request in pairs]


def journalled(journal: Path) -> Iterator[Group]:
    """Groups that are durable: whole lines of the journal's files."""
    for path in sorted(journal.glob("step-*")):
        for line in path.read_bytes().splitlines(keepends=True):
            if line.endswith(b"\n"):
                key = read_key(line)
                yield key.step, key.name


@dataclass(frozen=True, kw_only=True, slots=True)
class Undisturbed:
    """The run that the others are compared with, and how long its parts take."""

    run: Run
    start_s: float
    """From the fork to the first step."""
    steps_s: float
    """All steps."""
    times: dict[Stage, list[float]]

    @classmethod
    def make(cls, directory: Path, **checkpoint: Any) -> "Undisturbed":
        """Runs twice, as the first one also makes the model; they must be equal."""
        first, run = (new_run(directory / name, **checkpoint) for name in ("first", "second"))
        first.finish()
        prepare(next(Path(os.environ["PRORL_MODEL_CACHE"]).glob("tiny-*")))
        begun = time.monotonic()
        run.finish()
        ended = time.monotonic()
        times = {Stage[name]: times for name, times in run.result["times"].items()}
        run.compare(first)
        run.finish()  # it only loads
        start_s = time.monotonic() - ended
        return cls(run=run, start_s=start_s, steps_s=ended - begun - start_s, times=times)


def new_run(directory: Path, **checkpoint: Any) -> Run:
    """An empty directory."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    return Run(context=make_context(directory, **checkpoint))
