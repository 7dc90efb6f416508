"""Journals as tests make them: in a directory, with what they have counted."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from prorl_trainer.checkpoint.files import Files
from prorl_trainer.checkpoint.state import RunState
from prorl_trainer.journal.directory import JournalDirectory
from prorl_trainer.journal.journal import Journal
from prorl_trainer.journal.record import Key, Record, read_key
from prorl_trainer.types import Completion, FinishReason, Verdict

STEP = 3


@dataclass
class Counted:
    """A journal and its counters."""

    journal: Journal
    counts: Counter[str] = field(default_factory=Counter)


def make_journal(
    path: Path, attempt: int, *, staleness: int = 0, files: Files | None = None
) -> Counted:
    """Not opened yet."""
    counts: Counter[str] = Counter()

    def count(name: str, amount: float) -> None:
        counts[name] += int(amount)

    directory = JournalDirectory(path, lambda: attempt, files)
    return Counted(Journal(directory, max_staleness=staleness, count=count), counts)


async def opened(
    path: Path, attempt: int, state: RunState, *, staleness: int = 0, files: Files | None = None
) -> Counted:
    """A journal that goes on from the state."""
    made = make_journal(path, attempt, staleness=staleness, files=files)
    await made.journal.open(state)
    return made


def make_key(ordinal: int = 7, *, step: int = STEP, lineage: str = "0123456789abcdef") -> Key:
    return Key(lineage=lineage, step=step, name=f"train-sums-{ordinal}")


def make_completion(name: str, sample: int, *, version: str = "1-3") -> Completion:
    return Completion(
        request_id=f"{name}-{sample}", token_ids=(5, 151_935, 2), mask=(True, False, True),
        logprobs=(-0.5, 0.0, -1.25), finish_reason=FinishReason.STOP, weight_versions=(version,),
        text="4\n", weight_starts=(0,),
    )  # fmt: skip


def make_record(key: Key, *, samples: int = 2, version: str = "1-3") -> Record:
    return Record(
        completions=tuple(make_completion(key.name, i, version=version) for i in range(samples)),
        verdicts=tuple(Verdict(score=float(i % 2), reason="") for i in range(samples)),
    )


def keys_in(path: Path) -> list[Key]:
    """Of all whole lines of a journal, in the order of attempts."""
    files = sorted(path.glob("step-*"), key=lambda p: (p.suffix, p.name)) if path.exists() else []
    lines = (line for file in files for line in file.read_bytes().splitlines(keepends=True))
    return [read_key(line) for line in lines if line.endswith(b"\n")]


async def append(journal: Journal, *ordinals: int, step: int = STEP) -> None:
    """Groups with these ordinals, one after the other."""
    for ordinal in ordinals:
        key = make_key(ordinal, step=step)
        await journal.append(key, make_record(key, version=f"1-{step}"))


async def found(journal: Journal, *ordinals: int, step: int = STEP) -> list[int]:
    """Those of the ordinals that are there."""
    pairs = [(ordinal, await journal.find(make_key(ordinal, step=step))) for ordinal in ordinals]
    return [ordinal for ordinal, record in pairs if record is not None]


class Unsynced(Files):
    """For tests that kill no machine: nothing waits for the disk."""

    def append(self, path: Path, data: bytes) -> None:
        with path.open("ab") as file:
            file.write(data)

    def write(self, path: Path, data: bytes) -> None:
        path.write_bytes(data)

    def sync(self, path: Path) -> None:
        pass
