"""Verdicts of real services, and what each process of theirs and the client took for them."""

import json
import sys
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager, AsyncExitStack, nullcontext
from pathlib import Path
from typing import Any

import client
import measuring
import numpy as np
import problems
import psutil
import quotas
from verifier_process import VerifierProcess, served

QUOTAS = quotas.are_permitted() and "--whole" not in sys.argv
QUIET = ("--code-workers", "1", "--canary-seconds", "3600")


def limited(pids: Iterable[int], share: float = quotas.HALF) -> AbstractContextManager[None]:
    """As fast as all that is compared."""
    return quotas.quotas(pids, share) if QUOTAS else nullcontext()


def schedule(pid: int) -> np.ndarray:
    """Seconds on a processor and seconds of waiting for one."""
    return np.array(Path(f"/proc/{pid}/schedstat").read_text("ascii").split()[:2], float) / 1e9


def bodies(samples: list[problems.Sample], size: int) -> list[bytes]:
    """Requests for all of them, in order."""
    parts = (samples[start : start + size] for start in range(0, len(samples), size))
    return [client.request(json.dumps({"items": part}).encode()) for part in parts]


async def measure_services(
    requests: list[bytes],
    warm: list[bytes],
    folder: Path,
    *,
    pods: int = 1,
    workers: int = 1,
    share: float = quotas.HALF,
) -> measuring.Row:
    """All requests, by so many services with so many workers each."""
    async with AsyncExitStack() as stack:
        services = [await _start(stack, folder / f"{n}", workers) for n in range(pods)]
        urls = [service.url for service in services]
        await client.ask(urls, warm * workers * pods)
        own = [pid for service in services for pid in _workers(service, workers)]
        asked = [service.process.pid for service in services if service.process is not None]
        pids = [*own, *asked, psutil.Process().pid]
        with limited(pids, share):
            before, begin = [schedule(pid) for pid in pids], time.monotonic()
            answers = await client.ask(urls, requests)
            wall_s = time.monotonic() - begin
            used = [schedule(pid) - b for pid, b in zip(pids, before, strict=True)]
    verdicts = [v for answer in answers for v in json.loads(answer)["verdicts"]]
    own_used, asked_used = used[: len(own)], used[len(own) : -1]
    return rates(verdicts, wall_s, [*own_used, sum(asked_used), used[-1]])


async def _start(stack: AsyncExitStack, folder: Path, workers: int) -> VerifierProcess:
    folder.mkdir(exist_ok=True)
    flags = ("--workers", str(workers), *QUIET)
    service, _ = await stack.enter_async_context(served(folder, *flags))
    return service


def _workers(service: VerifierProcess, expected: int) -> list[int]:
    found = [w.pid for w in service.workers() if "prorl_verifier.worker" in w.cmdline()]
    assert len(found) == expected
    return found


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
