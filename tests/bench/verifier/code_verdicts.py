"""Verdicts of code per second, against the same programs run by subprocess without any isolation.

    python tests/bench/verifier/code_verdicts.py [--problems 400] [--tests 5]

Half of the problems are scripts (a process per test), half functions. A JSON line per measurement:
wall-clock and processor seconds, verdicts per second of each, and how late a hang is killed.
"""

import argparse
import asyncio
import contextlib
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import psutil
from prorl_verifier.metrics import Metrics
from prorl_verifier.pool import WorkerPool
from prorl_verifier.pools import code_crew
from prorl_verifier.sandbox import detect
from prorl_verifier.sandbox.budget import Budget
from prorl_verifier.sandbox.levels import Isolation
from prorl_verifier.sandbox.session import Sandbox, TimeIsUp
from prorl_verifier.wire import PASS, Item

SCRIPT = "n = int(input())\nprint(sum(k * {factor} for k in range(n)))\n"
FUNCTION = "def f(n):\n    return sum(k * {factor} for k in range(n))\n"
HANG = "while True: pass\n"
LIMIT_S = 2.0


def problems(count: int, tests: int, hang_every: int = 0) -> Iterator[tuple[str, dict[str, Any]]]:
    """(program, answer), all distinct."""
    for factor in range(count):
        values = [(n, factor * n * (n - 1) // 2) for n in range(100, 100 + tests)]
        if factor % 2:
            listed = [{"args": [n], "expected": value} for n, value in values]
            answer: dict[str, Any] = {"function": "f", "tests": listed}
            program = FUNCTION
        else:
            answer = {"tests": [{"input": f"{n}\n", "output": f"{v}\n"} for n, v in values]}
            program = SCRIPT
        hangs = hang_every and factor % hang_every == 0
        yield HANG if hangs else program.format(factor=factor), answer


def bare(problem: tuple[str, dict[str, Any]]) -> bool:
    """As a scorer without a sandbox would: an interpreter per script test or function program."""
    program, answer = problem
    if "function" not in answer:
        return all(run_bare(program, test["input"]) == test["output"] for test in answer["tests"])
    args = [test["args"] for test in answer["tests"]]
    program += f"import json\nprint(json.dumps([f(*a) for a in {args!r}]))"
    return json.loads(run_bare(program, "")) == [test["expected"] for test in answer["tests"]]


def run_bare(program: str, stdin: str) -> str:
    words = [sys.executable, "-I", "-S", "-c", program]
    return subprocess.run(words, input=stdin, capture_output=True, text=True).stdout


def report(name: str, verdicts: int, wall_s: float, cpu_s: float, **more: Any) -> None:
    rates = {"per_s": round(verdicts / wall_s, 1), "per_cpu_s": round(verdicts / cpu_s, 1)}
    seconds = {"wall_s": round(wall_s, 2), "cpu_s": round(cpu_s, 2)}
    print(json.dumps({"what": name, "verdicts": verdicts} | seconds | rates | more), flush=True)


def measure_bare(count: int, tests: int) -> None:
    before, begin = cpu_of_children(), time.monotonic()
    assert all(map(bare, problems(count, tests)))
    report("bare subprocess", count, time.monotonic() - begin, cpu_of_children() - before)


def cpu_of_children() -> float:
    own, used = (
        resource.getrusage(resource.RUSAGE_SELF),
        resource.getrusage(resource.RUSAGE_CHILDREN),
    )
    return own.ru_utime + own.ru_stime + used.ru_utime + used.ru_stime


async def measure_pool(
    isolation: Isolation, count: int, tests: int, workers: int, hang_every: int
) -> None:
    crew = code_crew(isolation, workers=workers, timeout_s=LIMIT_S)
    pool = WorkerPool(crew, max_queue=10**6, metrics=Metrics())
    pool.open()
    while sum(len(p.children()) for p in psutil.Process().children()) < workers or not pool.ready:
        await asyncio.sleep(0.05)
    items = [
        Item(id=str(i), verifier="code", completion=f"```python\n{program}```", answer=answer)
        for i, (program, answer) in enumerate(problems(count, tests, hang_every))
    ]
    before, begin = cpu_below(), time.monotonic()
    verdicts = await pool.verify(items)
    wall_s, cpu_s = time.monotonic() - begin, cpu_below() - before
    seconds = sorted(v.seconds for v in verdicts)
    hanging = len(range(0, count, hang_every)) if hang_every else 0
    assert sum(v.outcome == PASS for v in verdicts) == count - hanging
    quantiles = {f"p{q}_ms": round(seconds[len(seconds) * q // 100] * 1e3, 1) for q in (50, 99)}
    name = f"{workers} workers, {isolation.word}" + (f", {hanging} hang" if hanging else "")
    report(name, count, wall_s, cpu_s, **quantiles)
    await pool.close()


def cpu_below() -> float:
    """Of the workers, their zygotes and the programs that have been reaped."""
    times = [p.cpu_times() for p in psutil.Process().children(recursive=True)]
    return sum(t.user + t.system + t.children_user + t.children_system for t in times)


def measure_hang(isolation: Isolation) -> None:
    """When a program is dead, in limits: by its own time, and by the wall clock of this machine."""
    for name, source in (("loop", HANG), ("sleep", "import time\ntime.sleep(1e9)\n")):
        with Sandbox(isolation) as sandbox:
            budget, begin = Budget(LIMIT_S), time.monotonic()
            program = sandbox.start(budget)
            program.ask({"source": source, "function": None})
            with contextlib.suppress(TimeIsUp):
                program.ask({"run": True})
            program.end()
        ratios = {"own": budget.used_s / LIMIT_S, "wall": (time.monotonic() - begin) / LIMIT_S}
        rounded = {key: round(ratio, 3) for key, ratio in ratios.items()}
        print(json.dumps({"what": f"hang, {name}", "limit_s": LIMIT_S, "dead_at": rounded}))


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", type=int, default=400)
    parser.add_argument("--tests", type=int, default=5)
    arguments = parser.parse_args()
    count, tests = arguments.problems, arguments.tests
    print(json.dumps({"cpus": os.cpu_count(), "load": os.getloadavg(), "tests": tests}))
    measure_bare(count, tests)
    levels = [level for level in Isolation if Isolation.NONE < level <= detect.strongest()]
    for level in levels:
        asyncio.run(measure_pool(level, count, tests, 1, 0))
    asyncio.run(measure_pool(levels[-1], count, tests, 2, 0))
    asyncio.run(measure_pool(levels[-1], count, tests, 2, 100))
    measure_hang(levels[-1])


if __name__ == "__main__":
    main()
