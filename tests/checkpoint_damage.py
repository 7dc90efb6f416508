"""Damages checkpoints in every way that storage may, and counts what is loaded.

    python tests/checkpoint_damage.py [--count 1000] [--seed 1]

Prints one JSON line. A store holds the checkpoints of steps 2, 3 and 4; 2 and 4 have one copy of
the reference (hard links), 3 has the other. Each case damages the newest one: a file cut, a bit
flipped, two files swapped, a file missing, or bytes appended. It must be step 3 that is loaded. A
bad load is any other, or one of any other bytes than were written.
"""

import argparse
import asyncio
import json
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from prorl_api.spec_lifecycle import Resume
from prorl_trainer.checkpoint.checksum import checksum_of
from prorl_trainer.checkpoint.directory import Directory
from prorl_trainer.checkpoint.state import RunState
from prorl_trainer.checkpoint.store import CheckpointStore
from prorl_trainer.types import ShardFiles

RANKS = 2
SHARD_BYTES = 3000
NEWEST = 4


def make_store(directory: Path) -> None:
    """Four steps, three are kept, each of two ranks with random bytes."""
    store = CheckpointStore(Directory(directory), keep=3)
    store.open_for_attempt(None)
    for step in range(1, NEWEST + 1):
        state = RunState(job_uid="u", job_name="j", spec_hash="h", step=step)
        asyncio.run(store.commit(state, partial(_write, step), now=1.0))


def _contents(step: int, *, reference: bool = True) -> dict[str, bytes]:
    """Name -> bytes of the ranks' files."""
    found = {}
    for rank in range(RANKS):
        found[f"__{rank}_0.distcp"] = random.Random(10 * step + rank).randbytes(SHARD_BYTES)
        if reference:
            found[f"reference/__{rank}_0.distcp"] = random.Random(rank).randbytes(SHARD_BYTES)
    return found


async def _write(step: int, place: str, *, reference: bool) -> ShardFiles:
    files = _contents(step, reference=reference)
    for name, data in files.items():
        Path(place, name).parent.mkdir(exist_ok=True)
        Path(place, name).write_bytes(data)
    return ShardFiles(files={k: (len(v), checksum_of(v)) for k, v in files.items()})


def _cut(rng: random.Random, path: Path, _: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: rng.randrange(len(data))])


def _flip(rng: random.Random, path: Path, _: Path) -> None:
    data = bytearray(path.read_bytes())
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(data)


def _swap(_: random.Random, path: Path, other: Path) -> None:
    mine = path.read_bytes()
    path.write_bytes(other.read_bytes())
    other.write_bytes(mine)


def _remove(_: random.Random, path: Path, __: Path) -> None:
    path.unlink()


def _append(rng: random.Random, path: Path, _: Path) -> None:
    path.write_bytes(path.read_bytes() + rng.randbytes(rng.randrange(1, 100)))


DAMAGES: dict[str, Callable[[random.Random, Path, Path], None]] = {
    "truncated": _cut, "bit flipped": _flip, "swapped": _swap, "missing": _remove,
    "appended": _append,
}  # fmt: skip


def run(count: int, seed: int) -> dict[str, Any]:
    """Counts by kind of damage, of fall-backs and of bad loads."""
    rng, found = random.Random(seed), Counter[str]()
    with tempfile.TemporaryDirectory() as name:
        whole = Path(name, "whole")
        make_store(whole)
        for case in range(count):
            directory = Path(name, str(case))
            subprocess.run(["cp", "-a", whole, directory], check=True)  # keeps hard links
            kind = list(DAMAGES)[case % len(DAMAGES)]
            found[kind] += 1
            found[_outcome(directory, DAMAGES[kind], rng)] += 1
            shutil.rmtree(directory)
    kinds = {kind: found[kind] for kind in DAMAGES}
    outcomes = {name: found[name] for name in ("fell back", "bad loads")}
    return {"cases": count, "seed": seed, **kinds, **outcomes}


def _outcome(
    directory: Path, damage: Callable[[random.Random, Path, Path], None], rng: random.Random
) -> str:
    """What is loaded is the whole checkpoint before the damaged one, or it is a bad load."""
    files = sorted(p for p in (directory / f"step-{NEWEST:08d}").rglob("*") if p.is_file())
    path, other = rng.sample(files, 2)
    damage(rng, path, other)
    store = CheckpointStore(Directory(directory), keep=3)
    store.open_for_attempt(None)
    checkpoint = store.load(Resume.LATEST)
    whole = checkpoint is not None and _as_written(Path(checkpoint.shards), checkpoint.state.step)
    return "fell back" if whole and checkpoint.state.step == NEWEST - 1 else "bad loads"


def _as_written(shards: Path, step: int) -> bool:
    return all((shards / name).read_bytes() == data for name, data in _contents(step).items())


def main() -> None:
    """Exits with 1 after a bad load."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    found = run(options.count, options.seed)
    print(json.dumps(found))
    sys.exit(1 if found["bad loads"] else 0)


if __name__ == "__main__":
    main()
