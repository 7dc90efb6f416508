"""Verdicts of code, against the same programs run by subprocess without any isolation.

    python tests/bench/verifier/code_verdicts.py [--problems 2000] [--sample 200] [--repeats 3]

Half of the problems are scripts (a process per test), half functions; all are distinct, and
`--sample` takes every so many of them. At the strongest isolation of this machine. A JSON line per
measurement, then a table.
"""

import argparse
import asyncio
import contextlib
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
from prorl_verifier.metrics import Metrics
from prorl_verifier.pool import WorkerPool
from prorl_verifier.pools import code_crew
from prorl_verifier.sandbox import detect
from prorl_verifier.sandbox.budget import Budget
from prorl_verifier.sandbox.session import ProgramEnded, Sandbox, TimeIsUp
from prorl_verifier.wire import PASS, Item

sys.path.append(str(Path(__file__).parents[1]))
import measuring

EXPRESSIONS = (
    "sum(k * {c} for k in range(n))", "sorted(k * {c} % 97 for k in range(n))[n // 2]",
    "len({{k * {c} % 101 for k in range(n)}})", "str(n * {c})[::-1]", "pow({c} + 2, n, 1000003)",
    "max(int(d) for d in str({c} ** 5 + n))", "[k for k in range(2, n) if k * {c} % n == 0]",
)  # fmt: skip
"""What a problem asks for, of n; c makes it another problem."""
SCRIPT = "n = int(input())\nprint({expression})\n"
FUNCTION = "def f(n):\n    return {expression}\n"
HANG = "while True: pass\n"
LIMIT_S = 2.0
HANG_EVERY = 100
Problem = tuple[str, dict[str, Any]]
"""Program and answer."""


def make_problem(number: int, tests: int) -> Problem:
    """The program is right."""
    expression = EXPRESSIONS[number % len(EXPRESSIONS)].format(c=number + 3)
    # Of this file, so it may be evaluated here.
    values = [(n, eval(expression, {"n": n})) for n in range(100, 100 + tests)]
    if number % 2:
        listed = [{"args": [n], "expected": value} for n, value in values]
        return FUNCTION.format(expression=expression), {"function": "f", "tests": listed}
    answer = {"tests": [{"input": f"{n}\n", "output": f"{v}\n"} for n, v in values]}
    return SCRIPT.format(expression=expression), answer


def bare(problem: Problem) -> bool:
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


def measure_bare(problems: list[Problem]) -> measuring.Row:
    """In this process and its children."""
    before, begin = cpu_of_children(), time.monotonic()
    assert all(map(bare, problems))
    return rates(len(problems), time.monotonic() - begin, cpu_of_children() - before)


def rates(verdicts: int, wall_s: float, cpu_s: float) -> measuring.Row:
    return {"wall_s": wall_s, "per_s": verdicts / wall_s, "per_cpu_s": verdicts / cpu_s}


def cpu_of_children() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


async def measure_pool(problems: list[Problem], workers: int) -> measuring.Row:
    crew = code_crew(detect.strongest(), workers=workers, timeout_s=LIMIT_S)
    pool = WorkerPool(crew, max_queue=10**6, metrics=Metrics())
    pool.open()
    while sum(len(p.children()) for p in psutil.Process().children()) < workers or not pool.ready:
        await asyncio.sleep(0.05)
    items = [
        Item(id=str(i), verifier="code", completion=f"```python\n{program}```", answer=answer)
        for i, (program, answer) in enumerate(problems)
    ]
    before, begin = cpu_below(), time.monotonic()
    verdicts = await pool.verify(items)
    row = rates(len(items), time.monotonic() - begin, cpu_below() - before)
    await pool.close()
    hanging = sum(program == HANG for program, _ in problems)
    assert sum(v.outcome == PASS for v in verdicts) == len(items) - hanging
    seconds = sorted(v.seconds for v in verdicts)
    return row | {f"p{q}_ms": seconds[len(seconds) * q // 100] * 1e3 for q in (50, 99)}


def cpu_below() -> float:
    """Of the workers, their zygotes and the programs that have been reaped."""
    times = [p.cpu_times() for p in psutil.Process().children(recursive=True)]
    return sum(t.user + t.system + t.children_user + t.children_system for t in times)


def dead_at(source: str) -> float:
    """When a program is dead, in limits, by the time that it has used."""
    with Sandbox(detect.strongest()) as sandbox:
        budget = Budget(LIMIT_S)
        program = sandbox.start(budget)
        program.ask({"source": source, "function": None})
        with contextlib.suppress(TimeIsUp, ProgramEnded):  # by the budget, or the kernel's net
            program.ask({"run": True})
        program.end()
    return budget.used_s / LIMIT_S


def measure(problems: list[Problem]) -> dict[str, measuring.Row]:
    """Bare, one worker, two workers, and one with hangs: `share` is the bare time of the others and
    the limits of those that hang, in what was needed."""
    hanging = [
        (HANG, answer) if n % HANG_EVERY == 0 else (program, answer)
        for n, (program, answer) in enumerate(problems)
    ]
    found = {"bare": measure_bare(problems)}
    found |= {str(workers): asyncio.run(measure_pool(problems, workers)) for workers in (1, 2)}
    number = sum(program == HANG for program, _ in hanging)
    row, others = asyncio.run(measure_pool(hanging, 1)), 1 - number / len(problems)
    floor_s = found["bare"]["wall_s"] * others + number * LIMIT_S
    over_s = row["wall_s"] - found["1"]["wall_s"] * others - number * LIMIT_S
    row |= {"hangs": number, "share": floor_s / row["wall_s"], "over_ms": over_s / number * 1e3}
    sleep = "import time\ntime.sleep(1e9)\n"
    return {**found, "hang": row | {"dead_at": max(dead_at(HANG), dead_at(sleep))}}


COLUMNS = (
    ("verdicts per CPU-s", "1", "per_cpu_s", None), ("/ bare", "1", "per_cpu_s", "bare"),
    ("2 workers / 1, CPU", "2", "per_cpu_s", "1"), ("wall", "2", "per_s", "1"),
    ("1 % hang", "hang", "share", None), ("dead at, limits", "hang", "dead_at", None),
    ("p50 ms", "1", "p50_ms", None), ("p99 ms", "1", "p99_ms", None),
)  # fmt: skip
"""Of the table: mode and figure, over that of another mode."""


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", type=int, default=2000)
    parser.add_argument("--sample", type=int, help="so many of them, evenly; default all")
    parser.add_argument("--tests", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    step = arguments.problems // (arguments.sample or arguments.problems)
    problems = [make_problem(n * step + n % step, arguments.tests)
                for n in range(arguments.problems // step)]  # fmt: skip
    machine, repeats = measuring.machine(), []
    for _ in range(arguments.repeats):
        repeats.append(measure(problems))
        for mode, row in repeats[-1].items():
            measuring.report("code verdicts", {"mode": mode, **row})
    cells = []
    for _, mode, key, base in COLUMNS:
        values = [rows[mode][key] / (rows[base][key] if base else 1) for rows in repeats]
        cells.append(measuring.shown(measuring.spread(values)))
    measuring.table([name for name, *_ in COLUMNS], [cells])
    measuring.describe(machine | {"isolation": detect.strongest().word})


if __name__ == "__main__":
    main()
