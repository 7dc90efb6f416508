"""Judges the hostile inputs as the service does: `python tests/hostile/run.py --help`.

Ends with 1 if a score is not what was earned, a verdict is not the same every time, or a process or
file is left.
"""

import argparse
import asyncio
import json
import os
import sys
import sysconfig
import time
from collections.abc import Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
from prorl_verifier.metrics import Metrics
from prorl_verifier.pool import Crew, WorkerPool
from prorl_verifier.pools import Pools, code_crew
from prorl_verifier.sandbox import detect
from prorl_verifier.sandbox.levels import WORDS, Isolation
from prorl_verifier.wire import Item, Verdict

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from hostile import remote  # noqa: E402 - not installed, so found by path

LIMIT_S = 1.0
MARK = "prorl-hostile*"
CODE_WORKER = "prorl_verifier.code_worker"
Case = dict[str, Any]


def read(name: str) -> list[Case]:
    """The inputs of one file."""
    return [json.loads(line) for line in (HERE / f"{name}.jsonl").read_text("ascii").splitlines()]


@asynccontextmanager
async def opened(isolation: Isolation, workers: int, scorers: int = 1) -> Any:
    """Pools of so many real workers for code, and for all else."""
    metrics = Metrics()
    crews = (
        Crew(workers=scorers, timeout_s=LIMIT_S),
        code_crew(isolation, workers=workers, timeout_s=LIMIT_S),
    )
    pools = Pools(*(WorkerPool(crew, max_queue=10**6, metrics=metrics) for crew in crews))
    pools.open()
    try:
        yield pools
    finally:
        await pools.close()


async def judge(pools: Pools, cases: list[Case], repeats: int = 1) -> list[list[Verdict]]:
    """The verdicts of each case."""
    items = [
        Item(
            id=f"{index}/{repeat}", verifier=case["verifier"], completion=case["completion"],
            answer=case["answer"], meta=case["meta"],
        )
        for repeat in range(repeats)
        for index, case in enumerate(cases)
    ]  # fmt: skip
    verdicts = {verdict.id: verdict for verdict in await pools.verify(items)}
    return [[verdicts[f"{i}/{r}"] for r in range(repeats)] for i in range(len(cases))]


def wrong(cases: Iterable[Case], verdicts: Iterable[list[Verdict]]) -> list[str]:
    """What was not given its score every time, infra-errors included."""
    return [
        f"{case['name']}: earned {case['score']}, given {v.score} ({v.reason})"
        for case, several in zip(cases, verdicts, strict=True)
        for v in several
        if v.score != case["score"]
    ]


def left_files() -> list[str]:
    """What a program has written."""
    stdlib = sysconfig.get_path("stdlib")
    folders = (Path("/tmp"), Path("/dev/shm"), Path("/"), Path.cwd(), Path(stdlib), Path("/etc"))
    found = [str(path) for folder in folders for path in folder.glob(MARK)]
    names = ("conftest.py", "sitecustomize.py", "usercustomize.py")
    return found + [name for name in names if (Path.cwd() / name).exists()]


def left_processes(isolation: Isolation) -> list[str]:
    """Processes below code workers that are not their zygotes (two in a PID namespace)."""
    zygotes = 2 if isolation >= Isolation.NAMESPACES else 1
    found = []
    forkers = [p for p in psutil.Process().children() if CODE_WORKER in _cmdline(p)]
    for worker in [worker for forker in forkers for worker in forker.children()]:
        below = worker.children(recursive=True)
        found += [str(p) for p in below] if len(below) > zygotes else []
    return found


def _cmdline(process: psutil.Process) -> list[str]:
    try:
        command: list[str] = process.cmdline()
    except psutil.NoSuchProcess:  # it has ended, though nobody has waited for it yet
        return []
    return command


async def _run(arguments: argparse.Namespace) -> list[str]:
    cases = [case for name in arguments.sets for case in read(name)][:: arguments.step]
    if arguments.fast:
        cases = [case for case in cases if not case.get("slow")]
    if arguments.url is not None:
        return await _ask(arguments, cases)
    return await _judge_here(arguments, cases)


async def _ask(arguments: argparse.Namespace, cases: list[Case]) -> list[str]:
    token = arguments.token_file.read_text().strip() if arguments.token_file else ""
    verdicts, said = await remote.judge(arguments.url, token, cases, arguments.repeats)
    print(f"{len(cases)} inputs x {arguments.repeats} at {arguments.url}: {json.dumps(said)}")
    return wrong(cases, verdicts)


async def _judge_here(arguments: argparse.Namespace, cases: list[Case]) -> list[str]:
    isolation = Isolation[arguments.isolation.upper()]
    scorers = arguments.workers if "text" in arguments.sets else 0
    begin = time.monotonic()
    async with opened(isolation, arguments.workers, scorers) as pools:
        faults = wrong(cases, await judge(pools, cases, arguments.repeats))
        faults += left_processes(isolation)
    seconds = time.monotonic() - begin
    print(
        f"{len(cases)} inputs x {arguments.repeats}, {arguments.workers} workers, isolation "
        f"{isolation.word}, user {os.getuid()}: {seconds:.0f} s, {len(faults)} faults"
    )
    return faults + left_files()


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--step", type=int, default=1, help="judge every so many inputs")
    parser.add_argument("--fast", action="store_true", help="leave out what uses up its time")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--isolation", choices=WORDS[1:], default=detect.strongest().word)
    parser.add_argument("--sets", nargs="+", choices=("code", "text"), default=("code", "text"))
    parser.add_argument("--url", help="of a verifier that is asked instead (its limit: 1 s)")
    parser.add_argument("--token-file", type=Path, help="with the token of that verifier")
    faults = asyncio.run(_run(parser.parse_args()))
    print(*faults[:50], sep="\n")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
