"""What hangs cost: a pool of the real worker, in which one completion in a hundred never ends."""

import json
import time

import measuring
from hanging_worker import HANG
from problems import Sample
from prorl_verifier.metrics import Metrics
from prorl_verifier.pool import MEMORY_WORDS, Crew, WorkerPool
from prorl_verifier.wire import Item, parse_batch

LIMIT_S = 3.0
"""More than a verdict takes on a busy machine."""


def items_of(samples: list[Sample]) -> list[Item]:
    """As the service reads them."""
    entries = parse_batch(json.dumps({"items": samples}).encode())
    return [entry for entry in entries if isinstance(entry, Item)]


async def measure_hangs(samples: list[Sample], bare_s: float) -> measuring.Row:
    """Any design pays the time of the others, bare_s each, and the limit for each hang: `share` is
    that floor in what was needed. `over_ms` is what a hang costs beyond its limit, to kill the
    worker and to have another; `dead_at` is in limits, the worst."""
    marked = [
        {**sample, "completion": HANG} if n % 100 == 50 else sample
        for n, sample in enumerate(samples)
    ]
    crew = Crew(workers=1, timeout_s=LIMIT_S, command=("hanging_worker", *MEMORY_WORDS))
    pool = WorkerPool(crew, max_queue=10**6, metrics=Metrics())
    pool.open()
    await pool.verify(items_of(samples[:64]))
    begin = time.monotonic()
    await pool.verify(items_of(samples))
    others_s = (time.monotonic() - begin) * 0.99
    begin = time.monotonic()
    verdicts = await pool.verify(items_of(marked))
    wall_s = time.monotonic() - begin
    await pool.close()
    late = [v.seconds for v in verdicts if v.reason.startswith("timed out")]
    assert len(late) == len(samples) // 100
    floor_s = bare_s * (len(samples) - len(late)) + len(late) * LIMIT_S
    return {
        "wall_s": wall_s,
        "hangs": len(late),
        "share": floor_s / wall_s,
        "over_ms": (wall_s - others_s - len(late) * LIMIT_S) / len(late) * 1e3,
        "dead_at": max(late) / LIMIT_S,
    }
