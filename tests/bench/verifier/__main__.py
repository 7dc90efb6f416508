"""Verdicts of the service, against the same libraries in one process, by domain.

    python tests/bench/verifier [--domains math stem] [--problems 2000] [--repeats 3]

A client that has built its requests before sends them, `--batch` items each, to a real service with
one worker, then with two. Client, service, each worker and bare have half a processor where that is
permitted (halves.py), so that two cores are enough for all four; `--whole` leaves them alone. Bare
is bare.py, which reads the same completions from a file. Code has a bench of its own,
code_verdicts.py. Figures are CPU time by /proc, but for `wall`. A JSON line per measurement, then a
table.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import uvloop

sys.path += [str(Path(__file__).parents[n]) for n in (1, 2)]
import client
import halves
import measuring
import problems
from hanging import measure_hangs
from ports import free_port
from verifier_process import served

BARE, ECHO = (str(Path(__file__).parent / name) for name in ("bare.py", "echo.py"))
HALVES = halves.are_permitted() and "--whole" not in sys.argv
QUIET = ("--code-workers", "1", "--canary-seconds", "3600")

DOMAINS: dict[str, Callable[[], Any]] = {
    "math": problems.math_problems,
    "numbers": problems.number_problems,
    "logic": problems.logic_problems,
    "stem": problems.stem_problems,
    "instruction": problems.instruction_problems,
}


def measure_bare(domain: str, samples: list[problems.Sample], folder: Path) -> measuring.Row:
    """Verdicts per CPU second, with and without reading them."""
    source = folder / "completions.jsonl"
    source.write_text("".join(json.dumps(sample) + "\n" for sample in samples))
    words = [sys.executable, BARE, domain, str(source), str(folder / "scores.jsonl")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as bare, limited([bare.pid]):
        assert bare.stdout is not None
        found = json.loads(bare.stdout.read().splitlines()[-1])
    return {"per_cpu_s": 1 / found["whole_s"], "scorer_per_cpu_s": 1 / found["scorer_s"]}


def limited(pids: Iterable[int]) -> AbstractContextManager[None]:
    """As fast as all that is compared."""
    return halves.half_processors(pids) if HALVES else nullcontext()


def schedule(pid: int) -> np.ndarray:
    """Seconds on a processor and seconds of waiting for one."""
    return np.array(Path(f"/proc/{pid}/schedstat").read_text("ascii").split()[:2], float) / 1e9


def bodies(samples: list[problems.Sample], size: int) -> list[bytes]:
    """Requests for all of them, in order."""
    parts = (samples[start : start + size] for start in range(0, len(samples), size))
    return [client.request(json.dumps({"items": part}).encode()) for part in parts]


async def measure_http(requests: list[bytes], verdicts: int) -> measuring.Row:
    """The server's CPU per verdict when there is nothing to judge."""
    words = [sys.executable, ECHO, str(port := free_port())]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        server.stdout.readline()
        url = f"http://127.0.0.1:{port}"
        await client.ask(url, requests)
        with limited([server.pid, psutil.Process().pid]):
            before = schedule(server.pid)
            await client.ask(url, requests)
            used = schedule(server.pid) - before
        server.kill()
    return {"http_us": used[0] / verdicts * 1e6}


async def measure_service(
    requests: list[bytes], warm: list[bytes], workers: int, folder: Path
) -> measuring.Row:
    """All requests, by so many workers."""
    async with served(folder, "--workers", str(workers), *QUIET) as (service, _):
        await client.ask(service.url, warm * workers)
        assert service.process is not None
        own = [w.pid for w in service.workers() if "prorl_verifier.worker" in w.cmdline()]
        pids = [*own, service.process.pid, psutil.Process().pid]
        assert len(own) == workers
        with limited(pids):
            before, begin = [schedule(pid) for pid in pids], time.monotonic()
            answers = await client.ask(service.url, requests)
            wall_s = time.monotonic() - begin
            used = [schedule(pid) - b for pid, b in zip(pids, before, strict=True)]
    verdicts = [v for answer in answers for v in json.loads(answer)["verdicts"]]
    return rates(verdicts, wall_s, used)


def rates(verdicts: list[Any], wall_s: float, used: list[np.ndarray]) -> measuring.Row:
    """Of workers, then service, then client."""
    *workers, service, asking = used
    number, seconds = len(verdicts), sorted(verdict["seconds"] for verdict in verdicts)
    return {
        "right": sum(verdict["score"] == 1 for verdict in verdicts) / number,
        "wall_per_s": number / wall_s,
        "per_cpu_s": number / sum(cpu for cpu, _ in workers),
        "service_us": service[0] / number * 1e6,
        "client_us": asking[0] / number * 1e6,
        **{f"p{q}_ms": seconds[len(seconds) * q // 100] * 1e3 for q in (50, 99)},
    }


def measure(domain: str, samples: dict[str, Any], batch: int) -> dict[str, measuring.Row]:
    """By mode: bare, one worker, two workers, for distinct problems and for groups; then some that
    hang."""
    found = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for kind, drawn in samples.items():
            found[f"bare, {kind}"] = measure_bare(domain, drawn, folder)
            requests = bodies(drawn, batch)
            found[f"http, {kind}"] = uvloop.run(measure_http(requests, len(drawn)))
            for workers in (1, 2):
                row = uvloop.run(measure_service(requests, bodies(drawn, 256), workers, folder))
                assert row["right"] == 0.5, f"{domain}: {row['right']} right"
                found[f"{workers}, {kind}"] = row
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
        samples = {
            "distinct": problems.distinct(make(), size),
            "groups": problems.groups(make(), size // problems.GROUP),
        }
        repeats = []
        for _ in range(arguments.repeats):
            repeats.append(measure(domain, samples, arguments.batch))
            for mode, row in repeats[-1].items():
                measuring.report("verifier", {"domain": domain, "mode": mode, **row})
        table.append([domain, *show(repeats)])
    measuring.table(("domain", *(name for name, *_ in COLUMNS)), table)
    measuring.describe(machine | {"processors of each process": "half" if HALVES else "shared"})


if __name__ == "__main__":
    main()
