"""Two real verification services: one is killed in the midst of a burst."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from ports import free_port
from prorl_trainer.types import Completion, FinishReason, Prompt, Verdict
from prorl_trainer.verify.client import VerifierClient

COUNT = 1000
PROMPT = Prompt(
    ordinal=0, set_name="a", domain="math", verifier="math-verify", text="1+1?",
    token_ids=(1,), answer="2",
)  # fmt: skip

pytestmark = pytest.mark.timeout(300)


def make_completion(number: int) -> Completion:
    """Every third one is right and takes milliseconds to judge, so that the burst lasts a while."""
    right = rf"\frac{{{2 * number + 2}}}{{{number + 1}}}"
    return Completion(
        request_id=f"r-{number}", token_ids=(1,), mask=(True,), logprobs=(-1.0,),
        finish_reason=FinishReason.STOP, weight_versions=("1",),
        text=rf"So it is \boxed{{{number if number % 3 else right}}}" + " " * number,
    )  # fmt: skip


class Service:
    """A verifier with one worker, whose worker dies with it."""

    def __init__(self, directory: Path) -> None:
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self._directory = directory
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "prorl_verifier", "--host", "127.0.0.1",
            "--port", str(self._port), "--workers", "1", "--code-workers", "1",
            "--minimum-isolation", "none", "--token-file", str(self._directory / "token"),
            start_new_session=True,
        )  # fmt: skip
        async with aiohttp.ClientSession() as session:
            while True:
                with contextlib.suppress(aiohttp.ClientConnectionError):
                    async with session.get(f"{self.url}/readyz") as response:
                        if response.status == 200:
                            return
                assert self._process.returncode is None
                await asyncio.sleep(0.1)

    async def kill(self) -> None:
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()


@pytest.fixture
async def services(tmp_path: Path) -> AsyncIterator[list[Service]]:
    (tmp_path / "token").write_text("secret")
    services = [Service(tmp_path) for _ in range(2)]
    await asyncio.gather(*(service.start() for service in services))
    yield services
    await asyncio.gather(*(service.kill() for service in services))


async def test_a_killed_verifier_costs_no_verdict_and_no_other_is_given_twice(
    services: list[Service],
) -> None:
    urls = [service.url for service in services]

    async def resolve() -> list[str]:
        return urls

    client = VerifierClient(resolve, "secret", budget_s=120)
    verdicts: dict[int, list[Verdict]] = {number: [] for number in range(COUNT)}

    async def judge(number: int) -> None:
        verdicts[number].append(await client.verify(PROMPT, make_completion(number)))

    calls = [asyncio.create_task(judge(number)) for number in range(COUNT)]
    while sum(map(len, verdicts.values())) < COUNT // 10:
        await asyncio.sleep(0.01)
    await services[0].kill()
    assert not all(call.done() for call in calls)
    await asyncio.gather(*calls)
    assert client.retried > 0, "it was killed when it had nothing to do"
    scores = {number: [v.score for v in found] for number, found in verdicts.items()}
    assert scores == {number: [float(number % 3 == 0 or number == 2)] for number in range(COUNT)}
    await client.close()
