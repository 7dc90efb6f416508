"""The verification service as the process that it is, for tests that load, kill and stop it."""

import asyncio
import random
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import psutil
from msgspec.structs import asdict
from ports import free_port
from prorl_verifier.canary import load

TOKEN = "of-the-load-tests"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}
START_TIMEOUT_S = 120


class VerifierProcess:
    """`python -m prorl_verifier` on one port, whatever becomes of its process."""

    def __init__(self, folder: Path, *flags: str) -> None:
        self._token = folder / "token"
        self._token.write_text(TOKEN)
        self._flags = flags
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self.process: subprocess.Popen[bytes] | None = None

    def launch(self) -> None:
        """Starts it; it is not ready then."""
        command = [
            sys.executable, "-m", "prorl_verifier", "--host", "127.0.0.1", "--port",
            str(self._port), "--token-file", str(self._token), *self._flags,
        ]  # fmt: skip
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL)

    async def wait_ready(self, session: aiohttp.ClientSession) -> None:
        """Returns when it takes work."""
        async with asyncio.timeout(START_TIMEOUT_S):
            while True:
                try:
                    async with session.get(f"{self.url}/readyz") as answer:
                        if answer.status == 200:
                            return
                except aiohttp.ClientConnectionError:
                    pass  # not listening yet
                await asyncio.sleep(0.05)

    def terminate(self) -> None:
        """SIGTERM."""
        assert self.process is not None
        self.process.terminate()

    def family(self) -> list[psutil.Process]:
        """Its workers, their sandboxes and the programs in them."""
        assert self.process is not None
        return psutil.Process(self.process.pid).children(recursive=True)

    def workers(self) -> list[psutil.Process]:
        """The processes that judge. A program that is killed has failed, its worker has not."""
        assert self.process is not None
        forkers = {p.pid for p in psutil.Process(self.process.pid).children()}
        found = psutil.process_iter(["cmdline", "ppid"])
        return [
            p for p in found
            if p.info["ppid"] in forkers and "prorl_verifier.forker" in (p.info["cmdline"] or ())
        ]  # fmt: skip

    def peak_mib(self) -> float:
        """The most memory that the service itself (not its workers) has had."""
        assert self.process is not None
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1]) / 1024

    def end(self) -> None:
        """SIGKILL for the service alone, if it lives."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


@asynccontextmanager
async def served(
    folder: Path, *flags: str
) -> AsyncIterator[tuple[VerifierProcess, aiohttp.ClientSession]]:
    """A service that is ready, and connections for its token."""
    service = VerifierProcess(folder, *flags)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(headers=HEADERS, connector=connector) as session:
        try:
            service.launch()
            await service.wait_ready(session)
            yield service, session
        finally:
            service.end()


async def metric(service: VerifierProcess, session: aiohttp.ClientSession, name: str) -> float:
    """The sum of a metric's samples, 0 without any."""
    async with session.get(f"{service.url}/metrics") as answer:
        lines = (await answer.text()).splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if re.match(rf"{name}[{{ ]", line))


def mixed_items(number: int, *, code_share: float, seed: int) -> tuple[list[Any], dict[str, float]]:
    """Items of all verifiers in random order, and the score that is right for each id."""
    draw = random.Random(seed)
    texts = [canary for canary in load() if canary.item.verifier != "code"]
    programs = [canary for canary in load() if canary.item.verifier == "code"]
    items, scores = [], {}
    for index in range(number):
        drawn = draw.choice(programs if draw.random() < code_share else texts)
        items.append({**asdict(drawn.item), "id": f"sample-{index}"})
        scores[f"sample-{index}"] = drawn.score
    return items, scores


def batches(items: list[Any], size: int) -> Iterable[list[Any]]:
    """The items in order, so many at a time."""
    return (items[start : start + size] for start in range(0, len(items), size))
