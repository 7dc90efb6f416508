"""Verdicts of the service, against the same libraries in one process, by domain.

    python tests/bench/verifier [--domains math stem] [--problems 2000] [--repeats 3]

A client that has built its requests before sends them, `--batch` items each, to a real service with
one worker, then with two. Client, service, each worker and bare have half a processor where that is
permitted (quotas.py), so that two cores are enough for all four; `--whole` leaves them alone. Then
one such service is compared with two, as verifier.replicas makes them, with 0.4 processors for each
of the five processes. Bare is bare.py, which reads the same completions from a file; two of it side
by side show what a second processor gives on this machine at all. Code has a bench of its own,
code_verdicts.py. Figures are CPU time by /proc, but for `wall`. A JSON line per measurement, then a
table.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from subprocess import PIPE
from typing import Any

import psutil
import uvloop

sys.path += [str(Path(__file__).parents[n]) for n in (1, 2)]
import client
import measuring
import problems
from hanging import measure_hangs
from ports import free_port
from services import QUOTAS, bodies, limited, measure_services, schedule

BARE, ECHO = (str(Path(__file__).parent / name) for name in ("bare.py", "echo.py"))
FIFTH = 0.4
"""Of a processor, for each of five processes."""

DOMAINS: dict[str, Callable[[], Any]] = {
    "math": problems.math_problems,
    "numbers": problems.number_problems,
    "logic": problems.logic_problems,
    "stem": problems.stem_problems,
    "instruction": problems.instruction_problems,
}
WARM = 240
"""Problems that are judged before, and not again: what has been seen once is cheap in some domains,
and of two workers each has seen but half."""
WORKERS: dict[str, dict[str, Any]] = {"1": {}, "2": {"workers": 2}}
PODS: dict[str, dict[str, Any]] = {"1 pod": {"share": FIFTH}, "2 pods": {"pods": 2, "share": FIFTH}}


def measure_bare(
    domain: str, samples: list[problems.Sample], folder: Path, processes: int = 1
) -> measuring.Row:
    """Verdicts per CPU second, with and without reading them: of so many processes side by side,
    each with all samples, added up."""
    source = folder / "completions.jsonl"
    source.write_text("".join(json.dumps(sample) + "\n" for sample in samples))
    with ExitStack() as stack:
        words = [sys.executable, BARE, domain, str(source)]
        started = [
            stack.enter_context(
                subprocess.Popen([*words, f"{folder}/scores-{n}.jsonl"], stdout=PIPE, text=True)
            )
            for n in range(processes)
        ]
        stack.enter_context(limited([bare.pid for bare in started]))
        found = [json.loads(bare.communicate()[0].splitlines()[-1]) for bare in started]
    return {
        "per_cpu_s": sum(1 / one["whole_s"] for one in found),
        "scorer_per_cpu_s": sum(1 / one["scorer_s"] for one in found),
    }


async def measure_http(requests: list[bytes], verdicts: int) -> measuring.Row:
    """The server's CPU per verdict when there is nothing to judge."""
    words = [sys.executable, ECHO, str(port := free_port())]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        server.stdout.readline()
        url = f"http://127.0.0.1:{port}"
        await client.ask([url], requests)
        with limited([server.pid, psutil.Process().pid]):
            before = schedule(server.pid)
            await client.ask([url], requests)
            used = schedule(server.pid) - before
        server.kill()
    return {"http_us": used[0] / verdicts * 1e6}


def measure(domain: str, samples: dict[str, Any], batch: int) -> dict[str, measuring.Row]:
    """By mode: bare, one worker, two workers, for distinct problems and for groups; one pod and two
    for the former; then some that hang."""
    found: dict[str, measuring.Row] = {}
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        warm = bodies(samples["warm"], batch)
        for kind in ("distinct", "groups"):
            drawn = samples[kind]
            found[f"bare, {kind}"] = measure_bare(domain, drawn, folder)
            requests = bodies(drawn, batch)
            found[f"http, {kind}"] = uvloop.run(measure_http(requests, len(drawn)))
            if kind == "distinct":
                found["2 bare"] = measure_bare(domain, drawn, folder, processes=2)
            ways = WORKERS | PODS if kind == "distinct" else WORKERS
            for name, how in ways.items():
                row = uvloop.run(measure_services(requests, warm, folder, **how))
                assert row["right"] == 0.5, f"{domain}: {row['right']} right"
                found[f"{name}, {kind}"] = row
    bare_s = 1 / found["bare, distinct"]["per_cpu_s"]
    found["hang"] = asyncio.run(measure_hangs(samples["distinct"][:500], bare_s))
    return found


COLUMNS = (
    ("verdicts per CPU-s", "1, distinct", "per_cpu_s", None, None),
    ("/ bare", "1, distinct", "per_cpu_s", "bare, distinct", "per_cpu_s"),
    ("/ its scorer alone", "1, distinct", "per_cpu_s", "bare, distinct", "scorer_per_cpu_s"),
    ("groups / bare", "1, groups", "per_cpu_s", "bare, groups", "per_cpu_s"),
    ("2 workers / 1, CPU", "2, distinct", "per_cpu_s", "1, distinct", "per_cpu_s"),
    ("wall", "2, distinct", "wall_per_s", "1, distinct", "wall_per_s"),
    ("2 bare / 1", "2 bare", "per_cpu_s", "bare, distinct", "per_cpu_s"),
    ("2 pods / 1, wall", "2 pods, distinct", "wall_per_s", "1 pod, distinct", "wall_per_s"),
    ("service us", "1, distinct", "service_us", None, None),
    ("HTTP alone us", "http, distinct", "http_us", None, None),
    ("1 % hang", "hang", "share", None, None),
    ("dead at, limits", "hang", "dead_at", None, None),
    ("p50 ms", "1, distinct", "p50_ms", None, None),
    ("p99 ms", "1, distinct", "p99_ms", None, None),
)
"""Of the table: mode and figure, over mode and figure."""


def show(repeats: list[dict[str, measuring.Row]]) -> list[str]:
    """Medians with their range over the repeats."""
    cells = []
    for _, mode, key, base, base_key in COLUMNS:
        values = [rows[mode][key] / (rows[base][base_key] if base else 1) for rows in repeats]
        cells.append(measuring.shown(measuring.spread(values), 0 if max(values) > 100 else 2))
    return cells


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--domains", nargs="+", choices=DOMAINS, default=list(DOMAINS))
    parser.add_argument("--problems", type=int, default=2000, help="distinct ones, an even number")
    parser.add_argument("--batch", type=int, default=16, help="items of a request")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--whole", action="store_true", help="no quotas: all share the processors")
    arguments = parser.parse_args()
    machine, table = measuring.machine(), []
    for domain in arguments.domains:
        make, size = DOMAINS[domain], arguments.problems
        drawn = problems.distinct(make(), size + WARM)
        samples = {
            "distinct": drawn[:size],
            "groups": problems.groups(make(), size // problems.GROUP),
            "warm": drawn[size:],
        }
        repeats = []
        for _ in range(arguments.repeats):
            repeats.append(measure(domain, samples, arguments.batch))
            for mode, row in repeats[-1].items():
                measuring.report("verifier", {"domain": domain, "mode": mode, **row})
        table.append([domain, *show(repeats)])
    measuring.table(("domain", *(name for name, *_ in COLUMNS)), table)
    measuring.describe(machine | {"processors of each process": "half" if QUOTAS else "shared"})


if __name__ == "__main__":
    main()
