"""The verification service under load, killed and stopped: no sample is lost or judged wrongly.

Real processes only: `python -m prorl_verifier`, its workers, and the trainer's client.
"""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
from prorl_trainer.types import Completion, FinishReason, Prompt
from prorl_trainer.verify.client import VerifierClient
from prorl_trainer.verify.resolve import by_name
from prorl_verifier.canary import Canary, load
from prorl_verifier.service import MAX_BYTES
from verifier_process import TOKEN, VerifierProcess, batches, metric, mixed_items, served

pytestmark = pytest.mark.timeout(300)

BURST = 10_000
IDLE_MIB = 64
"""Of the service alone; measured: 39."""
WORST_FACTOR = 9
"""Of a body while it is parsed: its bytes, its text and the texts in it, four bytes a character."""
GROUP = 8


async def ask_until_taken(
    service: VerifierProcess, session: aiohttp.ClientSession, body: bytes
) -> list[dict[str, Any]]:
    """The verdicts of a batch, which is sent again when the service says that it is full."""
    while True:
        async with session.post(f"{service.url}/v1/verify", data=body) as answer:
            if answer.status == 200:
                return list((await answer.json())["verdicts"])
            assert answer.status == 429
            await asyncio.sleep(float(answer.headers["Retry-After"]))


def body_of(items: list[Any]) -> bytes:
    return json.dumps({"items": items}, ensure_ascii=False).encode(errors="surrogatepass")


async def test_a_burst_is_answered_once_for_every_id_in_bounded_memory(tmp_path: Path) -> None:
    items, scores = mixed_items(BURST, code_share=0.02, seed=1)
    async with served(tmp_path, "--max-queue", "5000") as (service, session):
        asked = [ask_until_taken(service, session, body_of(b)) for b in batches(items, 64)]
        verdicts = [verdict for part in await asyncio.gather(*asked) for verdict in part]
        assert Counter(v["id"] for v in verdicts) == dict.fromkeys(scores, 1)
        assert {v["id"]: v["score"] for v in verdicts} == scores
        assert service.peak_mib() < 2 * IDLE_MIB
        assert await metric(service, session, "prorl_verifier_refused_batches_total") > 0
        assert await metric(service, session, "prorl_verifier_verdicts_total") == BURST
        for name in ("queue_depth", "in_flight_bytes"):
            assert await metric(service, session, f"prorl_verifier_{name}") == 0


async def test_large_bodies_wait_for_room_and_a_50_mb_completion_costs_its_own_sample(
    tmp_path: Path,
) -> None:
    """A single character beyond the basic plane makes Python hold four bytes for each."""
    texts, scores = mixed_items(2, code_share=0, seed=2)
    bodies = [
        body_of([{**text, "id": "long", "completion": "x" * 50_000_000 + "\U0001f600"}, text])
        for text in texts
    ]
    async with served(tmp_path) as (service, session):
        answers = await asyncio.gather(*(ask_until_taken(service, session, b) for b in bodies))
        assert service.peak_mib() < IDLE_MIB + WORST_FACTOR * MAX_BYTES / (1 << 20)
        assert await metric(service, session, "prorl_verifier_refused_batches_total") > 0
    for long, short in answers:
        assert (long["id"], long["score"]) == ("long", 0.0)
        assert long["reason"] == "completion has more than 1000000 characters"
        assert short["score"] == scores[short["id"]]


async def test_what_no_text_should_hold_costs_its_own_sample_in_every_domain(
    tmp_path: Path,
) -> None:
    items: list[Any] = []
    for canary in load():
        if canary.score == 1.0:
            item = {"verifier": canary.item.verifier, "meta": canary.item.meta}
            good = item | {"completion": canary.item.completion, "answer": canary.item.answer}
            torn = "```python\n\ud800\x00\n``` \\boxed{\ud800\x00} <answer>\ud800\x00</answer>"
            items += [good, good | {"completion": torn}, good | {"answer": "\ud800"}]
            items += [good | {"completion": ""}, good | {"answer": [[float("nan")]]}]
    items = [item | {"id": f"{index}"} for index, item in enumerate(items)]
    async with served(tmp_path) as (service, session):
        verdicts = await ask_until_taken(service, session, body_of(items))
        assert await metric(service, session, "prorl_verifier_worker_restarts_total") == 0
    assert [v["id"] for v in verdicts] == [item["id"] for item in items]
    assert {v["score"] for v in verdicts[::5]} == {1.0}
    for wrong in (1, 3):
        assert {v["score"] for v in verdicts[wrong::5]} <= {0.0, 0.5}
    assert {v["outcome"] for v in verdicts[4::5]} == {"infra-error"}


def make_group(canary: Canary, name: str) -> tuple[Prompt, list[Completion]]:
    prompt = Prompt(
        ordinal=0, set_name="a", domain="math", verifier=canary.item.verifier, text="?",
        token_ids=(1,), answer=canary.item.answer, meta=canary.item.meta,
    )  # fmt: skip
    completions = [
        Completion(
            request_id=f"{name}-{index}", token_ids=(1,), mask=(True,), logprobs=(-1.0,),
            finish_reason=FinishReason.STOP, weight_versions=("1",), text=canary.item.completion,
        )
        for index in range(GROUP)
    ]  # fmt: skip
    return prompt, completions


async def judge_while(
    service: VerifierProcess, num_groups: int, disturb: Callable[[], Awaitable[None]]
) -> None:
    """A burst through the trainer's client, disturbed until it ends: every sample gets the score
    that is right for it."""
    drawn = random.Random(3).choices(load(), k=num_groups)
    client = VerifierClient(by_name(service.url), TOKEN, budget_s=200)
    groups = [make_group(canary, f"group-{index}") for index, canary in enumerate(drawn)]
    disturbance = asyncio.ensure_future(disturb())
    asked = [(prompt, completion) for prompt, group in groups for completion in group]
    verdicts = await asyncio.gather(*(client.verify(*pair) for pair in asked))
    disturbance.cancel()
    await asyncio.wait({disturbance})
    assert disturbance.cancelled()  # or it has failed
    await client.close()
    assert [v.score for v in verdicts] == [c.score for c in drawn for _ in range(GROUP)]
    assert client.infra_errors == 0


async def verdicts_more(service: VerifierProcess, session: aiohttp.ClientSession, n: int) -> None:
    """Returns when so many more verdicts have been given."""
    name = "prorl_verifier_verdicts_total"
    begin = await metric(service, session, name)
    while await metric(service, session, name) < begin + n:
        await asyncio.sleep(0.01)


async def test_killed_workers_cost_no_sample(tmp_path: Path) -> None:
    draw, killed = random.Random(4), 0
    async with served(tmp_path) as (service, session):

        async def kill_workers() -> None:
            nonlocal killed
            while True:
                await verdicts_more(service, session, 300)
                draw.choice(service.workers()).kill()
                killed += 1

        await judge_while(service, 250, kill_workers)
        assert killed >= 3
        assert await metric(service, session, "prorl_verifier_worker_restarts_total") > 0


async def test_a_killed_service_that_comes_back_costs_no_sample_and_leaves_nothing(
    tmp_path: Path,
) -> None:
    family: list[psutil.Process] = []
    async with served(tmp_path) as (service, session):

        async def kill_service() -> None:
            await verdicts_more(service, session, 300)
            family.extend(service.family())
            service.end()
            service.launch()
            await asyncio.Event().wait()

        await judge_while(service, 250, kill_service)
        assert len(family) >= 4
        assert (await asyncio.to_thread(psutil.wait_procs, family, timeout=60))[1] == []


async def test_a_service_that_is_told_to_stop_answers_what_it_has_accepted(tmp_path: Path) -> None:
    nap = "```python\nimport time\ntime.sleep(1)\nprint(1)\n```"
    program = {"verifier": "code", "completion": nap, "answer": {"tests": [_prints("1\n")]}}
    asked = [[program | {"id": f"{b}-{i}"} for i in range(2)] for b in range(3)]
    async with served(tmp_path) as (service, session):

        async def ask(items: list[Any]) -> tuple[int, Any]:
            async with session.post(f"{service.url}/v1/verify", data=body_of(items)) as answer:
                return answer.status, await answer.json()

        accepted = [asyncio.create_task(ask(items)) for items in asked]
        while await metric(service, session, "prorl_verifier_in_flight_bytes") < sum(
            len(body_of(items)) for items in asked
        ):
            await asyncio.sleep(0.01)
        family = service.family()
        service.terminate()
        while (await ask([]))[0] != 503:
            await asyncio.sleep(0.01)
        async with session.get(f"{service.url}/readyz") as ready:
            assert (ready.status, ready.headers["Connection"]) == (503, "close")
        for items, (status, answer) in zip(asked, await asyncio.gather(*accepted), strict=True):
            assert status == 200
            assert {v["id"]: v["score"] for v in answer["verdicts"]} == {
                item["id"]: 1.0 for item in items
            }
        assert service.process is not None
        assert await asyncio.to_thread(service.process.wait, 60) == 0
        assert psutil.wait_procs(family, timeout=60)[1] == []


def _prints(output: str) -> dict[str, str]:
    return {"input": "", "output": output}
