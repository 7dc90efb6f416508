"""What the journal costs per finished group, and what it takes to go on from it.

    python tests/bench/journal.py [--tokens 256 4096] [--samples 16] [--groups 64] [--dir DIR]

Append: Journal.append of one group after the other, as a slow step has them; and of all at once,
when they share an fsync. Floor: the same bytes written to the same disk, one fsync each. Encoding
is part of the append, and shown by itself. Take over: what the next attempt reads before it begins;
find: a group read and decoded. --dir is where the claim would be; times are wall clock.
"""

import argparse
import asyncio
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import measuring
from journal_builders import opened
from prorl_trainer.journal.record import Key, Record, encode
from prorl_trainer.types import Completion, FinishReason, Verdict
from scripted_rollout import START

VOCABULARY = 151_936
CHARACTERS_PER_TOKEN = 4


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tokens", type=int, nargs="+", default=[256, 4096], help="of a response")
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--groups", type=int, default=64)
    parser.add_argument("--dir", type=Path, help="default: a temporary directory")
    options = parser.parse_args()
    machine, rows = measuring.machine(), []
    for tokens in options.tokens:
        with tempfile.TemporaryDirectory(dir=options.dir) as directory:
            rows.append(point(Path(directory), tokens, options.samples, options.groups))
        measuring.report("journal", rows[-1] | machine)
    show(rows)
    measuring.describe(machine)


def make_completion(rng: random.Random, name: str, tokens: int) -> Completion:
    """Random tokens and log-probs: nothing that would be smaller than in earnest."""
    return Completion(
        request_id=name, token_ids=tuple(rng.randrange(VOCABULARY) for _ in range(tokens)),
        mask=(True,) * tokens, finish_reason=FinishReason.STOP, weight_versions=("1-0",),
        logprobs=tuple(-rng.randrange(2**20) / 2**18 for _ in range(tokens)),
        text="x" * (CHARACTERS_PER_TOKEN * tokens),
    )  # fmt: skip


def make_group(seed: int, tokens: int, samples: int) -> tuple[Key, Record]:
    """One of the first step."""
    rng, name = random.Random(seed), f"train-sums-{seed}"
    return Key(lineage="0" * 16, step=0, name=name), Record(
        completions=tuple(make_completion(rng, f"{name}-{i}", tokens) for i in range(samples)),
        verdicts=(Verdict(score=1.0),) * samples,
    )


def point(directory: Path, tokens: int, samples: int, number: int) -> measuring.Row:
    """One length of responses."""
    groups = [make_group(seed, tokens, samples) for seed in range(number)]
    lines = [encode(*group) for group in groups]
    encoding = [seconds(lambda group=group: encode(*group)) for group in groups]
    floor = [seconds(lambda i=i: write(directory / f"raw-{i}", lines[i])) for i in range(number)]
    return {
        "tokens": tokens, "samples": samples, "groups": number,
        "bytes_per_group": len(lines[0]),
        "bytes_per_token": round(len(lines[0]) / tokens / samples, 2),
        "encode_ms": measuring.spread([1e3 * s for s in encoding]),
        "raw_ms": measuring.spread([1e3 * s for s in floor]),
        **asyncio.run(journal(directory, groups)),
    }  # fmt: skip


async def journal(directory: Path, groups: list[tuple[Key, Record]]) -> measuring.Row:
    """Appends, then goes on as the next attempt."""
    one = (await opened(directory / "one", 1, START)).journal
    appends = [await duration(one.append(*group)) for group in groups]
    many = (await opened(directory / "many", 1, START)).journal
    together = await duration(asyncio.gather(*(many.append(*group) for group in groups)))
    begin = time.perf_counter()
    after = (await opened(directory / "one", 2, START)).journal
    take_over = time.perf_counter() - begin
    finds = [await duration(after.find(key)) for key, _ in groups]
    return {
        "append_ms": measuring.spread([1e3 * s for s in appends]),
        "append_together_ms": round(1e3 * together / len(groups), 3),
        "take_over_ms": round(1e3 * take_over / len(groups), 3),
        "find_ms": measuring.spread([1e3 * s for s in finds]),
    }


def write(path: Path, data: bytes) -> None:
    """Durable, as directly as it goes."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def seconds(call: Callable[[], Any]) -> float:
    """Of a call."""
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


async def duration(call: "Coroutine[Any, Any, Any] | asyncio.Future[Any]") -> float:
    """Seconds until it is done."""
    begin = time.perf_counter()
    await call
    return time.perf_counter() - begin


def show(rows: list[measuring.Row]) -> None:
    """The table for docs/reliability.md: milliseconds per group."""
    head = ("tokens", "KiB", "bytes/token", "append", "of it encoding", "raw write + fsync",
            "append, all at once", "take over", "find")  # fmt: skip
    measuring.table(head, [
        (f"{r['samples']} x {r['tokens']:,}", f"{r['bytes_per_group'] / 1024:,.0f}",
         r["bytes_per_token"], measuring.shown(r["append_ms"]), measuring.shown(r["encode_ms"]),
         measuring.shown(r["raw_ms"]), r["append_together_ms"], r["take_over_ms"],
         measuring.shown(r["find_ms"]))
        for r in rows
    ])  # fmt: skip


if __name__ == "__main__":
    main()
