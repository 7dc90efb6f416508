"""What the verifier's client costs: requests and CPU per completion.

    python tests/bench/verify_client.py [--completions 8192] [--seconds 0 5 40] [--repeats 3]

Two HTTP servers in processes of their own, which pass everything after --judge-seconds; completions
of 4,000 characters end evenly over --seconds, 0: all at once. Those that wait together share a
request. CPU seconds of the client's process.
"""

import argparse
import asyncio
import multiprocessing
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import measuring
from prorl_trainer.verify.client import VerifierClient
from verifier_server import TOKEN, ScriptedVerifier, all_pass, make_completion, make_prompt, served

TEXT = "x" * 4000
COLUMNS = {"requests": 0, "cpu_ms": 2, "wall_s": 2}
Told = Any  # a connection: in goes anything, back comes how many requests there were


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--completions", type=int, default=8192)
    parser.add_argument("--seconds", type=float, nargs="+", default=[0.0, 5.0, 40.0])
    parser.add_argument("--judge-seconds", type=float, default=0.02)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    rows = []
    for seconds in options.seconds:
        found = [measure(options, seconds) for _ in range(options.repeats)]
        values = {name: measuring.spread([row[name] for row in found]) for name in found[0]}
        measuring.report("verify_client", {"seconds": seconds, **values})
        shown = [measuring.shown(values[name], digits) for name, digits in COLUMNS.items()]
        rows.append([seconds, *shown])
    measuring.table(["ending over, s", "requests", "CPU ms per completion", "wall s"], rows)
    measuring.describe(measuring.machine())


def measure(options: argparse.Namespace, seconds: float) -> measuring.Row:
    context = multiprocessing.get_context("spawn")
    pipes = [context.Pipe() for _ in range(2)]
    servers = [
        context.Process(target=serve, args=(theirs, options.judge_seconds), daemon=True)
        for _, theirs in pipes
    ]
    for server in servers:
        server.start()
    urls = [mine.recv() for mine, _ in pipes]
    row = asyncio.run(send(urls, options.completions, seconds))
    for mine, _ in pipes:
        mine.send("end")
    row["requests"] = sum(mine.recv() for mine, _ in pipes)
    for server in servers:
        server.join()
    return row


def serve(told: Told, judge_s: float) -> None:
    """A verifier's process; tells its URL, and in the end how many requests there were."""

    async def until(holds: Callable[[], bool]) -> None:
        while not holds():
            await asyncio.sleep(0.1)

    async def live() -> None:
        server = ScriptedVerifier(always=all_pass, delay_s=judge_s)
        async with served(server) as url:
            told.send(url)
            await until(told.poll)
            told.send(len(server.asked))

    asyncio.run(live())


async def send(urls: list[str], count: int, seconds: float) -> measuring.Row:
    async def resolve() -> list[str]:
        return urls

    client, prompt = VerifierClient(resolve, TOKEN), make_prompt()

    async def one(number: int) -> None:
        await asyncio.sleep(seconds * number / count)
        completion = make_completion(f"train-sums-{number}-0")
        assert (await client.verify(prompt, replace(completion, text=TEXT))).score == 1.0

    begin, used = time.monotonic(), time.process_time()
    await asyncio.gather(*(one(number) for number in range(count)))
    used, wall = time.process_time() - used, time.monotonic() - begin
    await client.close()
    return {"requests": 0, "cpu_ms": used * 1e3 / count, "wall_s": wall}


if __name__ == "__main__":
    main()
