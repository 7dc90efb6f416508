"""Verdicts per second through a real pool, against the bare library in this process, by domain.

    python tests/bench/verifier [--domains math stem] [--problems 2000] [--repeats 3]

Bare is math_verify's parse and verify with its own limits of time, reasoning-gym's score_answer,
and our own scorer where there is no library (stem, instruction). Code has a bench of its own,
code_verdicts.py beside this file. Times are wall clock and processor; `net` leaves out what the
measured process waited for a processor: on two cores the service itself takes some. A JSON line
per measurement, then a table.
"""

import argparse
import asyncio
import logging
import os
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from msgspec.structs import replace
from prorl_verifier.metrics import Metrics
from prorl_verifier.pool import MEMORY_WORDS, Crew, WorkerPool
from prorl_verifier.wire import Item
from prorl_verifier.worker import GRADERS

sys.path.insert(0, str(Path(__file__).parents[1]))
import measuring
import problems
from hanging_worker import HANG

LIMIT_S = 1.0
Bare = Callable[[Item], Any]


def bare_math(item: Item) -> bool:
    """As the library's own documentation does."""
    from math_verify import parse, verify

    return bool(verify(parse(f"${item.answer}$"), parse(item.completion)))


def bare_logic(item: Item) -> float:
    """The data set's own scorer of the answer without its tags."""
    answer = item.completion.rpartition("<answer>")[2].removesuffix("</answer>")
    try:
        return float(dataset(item.meta["dataset"]).score_answer(answer, item.meta["entry"]))
    except ValueError:  # some of them expect numbers
        return 0.0


@cache
def dataset(name: str) -> Any:
    """Of reasoning-gym; an item brings its own entry."""
    from reasoning_gym.factory import create_dataset

    return create_dataset(name, seed=0, size=1)


def bare_own(item: Item) -> float:
    """Our scorer without a pool."""
    return GRADERS[item.verifier](item.answer, item.meta)(item.completion)[0]


DOMAINS: dict[str, tuple[Callable[[], Any], Bare]] = {
    "math": (problems.math_problems, bare_math),
    "logic": (problems.logic_problems, bare_logic),
    "stem": (problems.stem_problems, bare_own),
    "instruction": (problems.instruction_problems, bare_own),
}


def measure_bare(judge: Bare, items: list[Item]) -> measuring.Row:
    judge(items[0])  # imports
    begin, before = time.monotonic(), schedule(os.getpid())
    for item in items:
        judge(item)
    return rates(len(items), time.monotonic() - begin, [schedule(os.getpid()) - before])


def schedule(pid: int) -> np.ndarray:
    """Seconds on a processor and seconds of waiting for one."""
    return np.array(Path(f"/proc/{pid}/schedstat").read_text("ascii").split()[:2], float) / 1e9


def rates(verdicts: int, wall_s: float, used: list[np.ndarray]) -> measuring.Row:
    """Verdicts per second of each kind; `used` by each process."""
    return {
        "wall_s": wall_s,
        "wall_per_s": verdicts / wall_s,
        "cpu_per_s": verdicts / sum(cpu for cpu, _ in used),
        "net_per_s": verdicts / (wall_s - min(waited for _, waited in used)),
    }


@asynccontextmanager
async def opened(workers: int, warm: list[Item]) -> AsyncIterator[WorkerPool]:
    """A pool of the real worker that has judged `warm`."""
    words = ("hanging_worker", *MEMORY_WORDS)
    crew = Crew(workers=workers, timeout_s=LIMIT_S, command=words)
    pool = WorkerPool(crew, max_queue=10**6, metrics=Metrics())
    pool.open()
    await pool.verify(warm)
    yield pool
    await pool.close()


async def measure_pool(items: list[Item], workers: int, warm: list[Item]) -> measuring.Row:
    async with opened(workers, warm) as pool:
        pids = [w.pid for f in psutil.Process().children() for w in f.children()]
        begin, own = time.monotonic(), time.process_time()
        before = [schedule(pid) for pid in pids]
        verdicts = await pool.verify(items)
        wall_s, own_s = time.monotonic() - begin, time.process_time() - own
        used = [schedule(pid) - b for pid, b in zip(pids, before, strict=True)]
    row = rates(len(items), wall_s, used)
    row["all_cpu_per_s"] = len(items) / (sum(cpu for cpu, _ in used) + own_s)
    seconds = sorted(verdict.seconds for verdict in verdicts)
    quantiles = {f"p{q}_ms": seconds[len(seconds) * q // 100] * 1e3 for q in (50, 99)}
    return row | quantiles | {"right": sum(v.score == 1 for v in verdicts)}


async def measure_hangs(items: list[Item], bare_s: float, warm: list[Item]) -> measuring.Row:
    """One in a hundred hangs. Any design pays the bare time of the others, and the limit for each
    hang: `share` is that floor in what was needed, `raw` the bare time alone. `dead_at` is in
    limits, the worst."""
    hanging = [
        replace(item, completion=HANG) if n % 100 == 50 else item for n, item in enumerate(items)
    ]
    async with opened(1, warm) as pool:
        begin = time.monotonic()
        verdicts = await pool.verify(hanging)
        wall_s = time.monotonic() - begin
    late = [v.seconds for v, item in zip(verdicts, hanging, strict=True) if item.completion == HANG]
    assert len(late) == sum(v.reason.startswith("timed out") for v in verdicts)
    others_s = bare_s * (1 - len(late) / len(items))
    return {
        "wall_s": wall_s,
        "hangs": len(late),
        "raw": others_s / wall_s,
        "share": (others_s + len(late) * LIMIT_S) / wall_s,
        "others_share": others_s / (wall_s - len(late) * LIMIT_S),
        "dead_at": max(late) / LIMIT_S,
    }


def measure(domain: str, items: list[Item], grouped: list[Item]) -> list[measuring.Row]:
    """Bare, one worker, two, groups, and some that hang, one after the other."""
    judge, warm = DOMAINS[domain][1], items[:64]
    found = [{"mode": "bare", **measure_bare(judge, items)}]
    for workers in (1, 2):
        row = asyncio.run(measure_pool(items, workers, warm))
        assert row["right"] == len(items) // 2, f"{domain}: {row['right']} right"
        found.append({"mode": f"{workers} workers", **row})
    found.append({"mode": "bare, groups", **measure_bare(judge, grouped)})
    found.append({"mode": "1 worker, groups", **asyncio.run(measure_pool(grouped, 1, warm))})
    some, floor_s = items[:500], found[0]["wall_s"] * 500 / len(items)
    hangs = asyncio.run(measure_hangs(some, floor_s, warm))
    return [*found, {"mode": "1 worker, 1 % hang", **hangs}]


def show(domain: str, repeats: list[list[measuring.Row]]) -> list[str]:
    """Ratios of medians with their range over the repeats."""

    def ratio(mode: int, base: int, key: str) -> str:
        values = [rows[mode][key] / rows[base][key] for rows in repeats]
        return measuring.shown(measuring.spread(values))

    return [
        domain,
        measuring.shown(measuring.spread([rows[1]["cpu_per_s"] for rows in repeats]), 0),
        ratio(1, 0, "cpu_per_s"), ratio(1, 0, "net_per_s"), ratio(2, 1, "wall_per_s"),
        ratio(2, 1, "net_per_s"), ratio(4, 3, "cpu_per_s"),
        *(measuring.shown(measuring.spread([r[5][key] for r in repeats]))
          for key in ("raw", "share", "others_share", "dead_at")),
        measuring.shown(measuring.spread([rows[1]["p50_ms"] for rows in repeats])),
        measuring.shown(measuring.spread([rows[1]["p99_ms"] for rows in repeats])),
    ]  # fmt: skip


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--domains", nargs="+", choices=DOMAINS, default=list(DOMAINS))
    parser.add_argument("--problems", type=int, default=2000, help="distinct ones, an even number")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    logging.getLogger("math_verify").setLevel(logging.ERROR)
    machine, table = measuring.machine(), []
    for domain in arguments.domains:
        make = DOMAINS[domain][0]
        items = problems.distinct(make(), arguments.problems)
        grouped = problems.groups(make(), arguments.problems // problems.GROUP)
        found = [measure(domain, items, grouped) for _ in range(arguments.repeats)]
        for row in chain(*found):
            measuring.report("verifier", {"domain": domain, **row})
        table.append(show(domain, found))
    measuring.table(
        ("domain", "verdicts per CPU-s", "1 worker/bare, CPU", "net", "2/1 workers, wall", "net",
         "groups/bare, CPU", "1 % hang, raw", "with limits", "without limits", "dead at, limits",
         "p50 ms", "p99 ms"),
        table,
    )  # fmt: skip
    measuring.describe(machine)


if __name__ == "__main__":
    main()
