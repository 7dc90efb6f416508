"""The verification service of local mode, as the process that it is."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from prorl_api.spec_roles import VerifierSpec
from prorl_trainer.errors import UnauthorizedError, VerifierError
from prorl_trainer.local_verifier import LocalVerifier
from prorl_trainer.types import Completion, FinishReason, Prompt, Verdict
from prorl_trainer.verify.client import VerifierClient
from prorl_trainer.verify.resolve import by_name

PROMPT = Prompt(
    ordinal=0, set_name="a", domain="math", verifier="math-verify", text="1+1?",
    token_ids=(1,), answer="2", meta={},
)  # fmt: skip


def make_completion(text: str) -> Completion:
    return Completion(
        request_id=f"r-{text}", token_ids=(1,), mask=(True,), logprobs=(-1.0,),
        finish_reason=FinishReason.STOP, weight_versions=("1",), text=text,
    )  # fmt: skip


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[LocalVerifier]:
    (tmp_path / "token").write_text("secret")
    service = LocalVerifier(tmp_path / "token", VerifierSpec(), tmp_path / "verifier.log")
    await service.start()
    yield service
    await service.close()


async def judge(
    service: LocalVerifier,
    texts: Sequence[str] = ("2", "3"),
    *,
    prompt: Prompt = PROMPT,
    token: str = "secret",
) -> list[Verdict]:
    client = VerifierClient(by_name(service.url), token, budget_s=60)
    try:
        calls = (client.verify(prompt, make_completion(text)) for text in texts)
        return list(await asyncio.gather(*calls))
    finally:
        await client.close()


def processes_of(directory: Path) -> list[psutil.Process]:
    """The services that read their token there."""
    found = psutil.process_iter(["cmdline"])
    return [p for p in found if str(directory / "token") in (p.info["cmdline"] or [])]


async def test_a_killed_service_is_started_again_and_judges(
    service: LocalVerifier, tmp_path: Path
) -> None:
    (first,) = processes_of(tmp_path)
    first.kill()
    assert [verdict.score for verdict in await judge(service)] == [1.0, 0.0]
    (second,) = processes_of(tmp_path)
    assert second.pid != first.pid


@pytest.mark.timeout(120)
async def test_a_service_that_cannot_be_started_again_is_tried_until_it_can(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret")
    logs = tmp_path / "logs"
    logs.mkdir()
    service = LocalVerifier(tmp_path / "token", VerifierSpec(), logs / "verifier.log")
    await service.start()
    shutil.rmtree(logs)
    processes_of(tmp_path)[0].kill()
    await asyncio.sleep(0.5)  # the loop gets its turn all the same
    logs.mkdir()
    assert [verdict.score for verdict in await judge(service)] == [1.0, 0.0]
    await service.close()


async def test_programs_are_judged_against_their_tests(service: LocalVerifier) -> None:
    tests = {"tests": [{"input": f"{x}\n", "output": f"{x * x}\n"} for x in (0, 1, 5, 6)]}
    prompt = replace(PROMPT, domain="code", verifier="code", answer=tests)
    programs = (
        "print(int(input()) ** 2)",
        "print(int(input()))",
        "import time; time.sleep(99)",
        "1 / 0",
    )
    texts = [f"```python\n{program}\n```" for program in programs]
    verdicts = await judge(service, texts, prompt=prompt)
    assert [verdict.score for verdict in verdicts] == [1.0, 0.5, 0.0, 0.0]


async def test_another_token_ends_at_once(service: LocalVerifier) -> None:
    with pytest.raises(UnauthorizedError, match="The verifier refuses the job's token"):
        await judge(service, token="other")


async def test_nothing_is_left_of_a_closed_service(tmp_path: Path, service: LocalVerifier) -> None:
    (process,) = processes_of(tmp_path)
    family = [process, *process.children(recursive=True)]
    await service.close()
    assert psutil.wait_procs(family, timeout=10)[1] == []


def test_the_service_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret")
    program = textwrap.dedent(f"""
        import asyncio, pathlib, signal
        from prorl_api.spec_roles import VerifierSpec
        from prorl_trainer.local_verifier import LocalVerifier
        async def main():
            here = pathlib.Path({str(tmp_path)!r})
            await LocalVerifier(here / "token", VerifierSpec(), here / "verifier.log").start()
            print("ready", flush=True)
            signal.pause()
        asyncio.run(main())
    """)
    paths = os.pathsep.join(path for path in sys.path if path)
    owner = subprocess.Popen(
        [sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": paths},
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert owner.stdout is not None
    assert owner.stdout.readline() == "ready\n"
    (process,) = processes_of(tmp_path)
    family = [process, *process.children(recursive=True)]
    owner.send_signal(signal.SIGKILL)
    owner.communicate()
    assert psutil.wait_procs(family, timeout=30)[1] == []


async def test_a_service_that_cannot_start_names_its_log(tmp_path: Path) -> None:
    service = LocalVerifier(tmp_path / "no-token", VerifierSpec(), tmp_path / "verifier.log")
    with pytest.raises(VerifierError, match=r"ended with code 20; see .*verifier\.log"):
        await service.start()
    assert "no-token" in (tmp_path / "verifier.log").read_text()
    await asyncio.wait_for(service.close(), 5)
