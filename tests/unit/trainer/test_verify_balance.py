"""The verifier's client with several real HTTP servers: balance, failures, retries elsewhere."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from aiohttp import web
from prorl_trainer.errors import UnauthorizedError
from prorl_trainer.verify.client import VerifierClient
from verifier_server import (
    TOKEN,
    Items,
    ScriptedVerifier,
    all_pass,
    answer,
    ask,
    no_verdict,
    refuse,
    served,
    verdict,
)

IDS = [str(i) for i in range(200)]


@asynccontextmanager
async def client_of(
    *servers: ScriptedVerifier, urls: list[str] | None = None, token: str = TOKEN
) -> AsyncIterator[VerifierClient]:
    """`urls` is looked up anew each time; all servers' if there is none."""
    async with AsyncExitStack() as stack:
        found = [await stack.enter_async_context(served(server)) for server in servers]

        async def resolve() -> list[str]:
            return found if urls is None else list(urls)

        client = VerifierClient(resolve, token, budget_s=20)
        stack.push_async_callback(client.close)
        async with asyncio.timeout(30):
            yield client


def scored(score: float) -> Callable[[Items], web.Response]:
    return lambda items: answer([verdict(item, score) for item in items])


def judged(server: ScriptedVerifier) -> list[str]:
    return [i for ids in server.ids for i in ids]


async def test_two_verifiers_share_a_burst_and_each_completion_is_sent_once() -> None:
    first, second = (ScriptedVerifier(always=all_pass, delay_s=0.01) for _ in range(2))
    async with client_of(first, second) as client:
        assert len(await ask(client, *IDS)) == len(IDS)
    assert sorted(judged(first) + judged(second)) == sorted(IDS)
    assert len(judged(first)) == len(judged(second))


async def test_what_one_does_not_judge_is_judged_by_the_other() -> None:
    broken, sound = ScriptedVerifier(always=no_verdict), ScriptedVerifier(always=scored(0.5))
    async with client_of(broken, sound) as client:
        assert {found.score for found in await ask(client, *IDS)} == {0.5}
        assert client.infra_errors == 0
        assert client.retried == len(judged(broken)) > 0
    assert sorted(judged(sound)) == sorted(IDS)


@pytest.mark.parametrize("status", [500, 503])
async def test_a_broken_one_costs_no_verdict(status: int) -> None:
    broken, sound = ScriptedVerifier(always=refuse(status)), ScriptedVerifier(always=all_pass)
    async with client_of(broken, sound) as client:
        assert len(await ask(client, *IDS)) == len(IDS)
        before = len(broken.asked)
        assert len(await ask(client, *IDS)) == len(IDS)
    assert all(len(ids) == 1 for ids in broken.ids[before:]), "it is on trial"
    assert sorted(judged(sound)) == sorted(IDS * 2)


async def test_one_that_asks_for_patience_is_left_in_peace_and_the_other_is_not() -> None:
    busy = ScriptedVerifier(always=refuse(429, **{"Retry-After": "600"}))
    idle = ScriptedVerifier(always=all_pass)
    async with client_of(busy, idle) as client:
        await ask(client, *IDS)
        before = len(busy.asked)
        await ask(client, *IDS)
        assert len(busy.asked) == before > 0
    assert sorted(judged(idle)) == sorted(IDS * 2)


async def test_one_that_is_gone_in_the_midst_loses_and_doubles_nothing() -> None:
    gone = ScriptedVerifier(always=scored(1.0), delay_s=30)
    stays = ScriptedVerifier(always=scored(0.25))
    async with client_of(gone, stays) as client:
        calls = asyncio.create_task(ask(client, *IDS))
        while len(judged(stays)) < len(IDS) // 2 or not gone.asked:
            await asyncio.sleep(0.01)
        assert not calls.done()
        gone.kill()
        assert [found.score for found in await calls] == [0.25] * len(IDS)
    assert sorted(judged(stays)) == sorted(IDS)


async def test_one_that_comes_is_found_and_one_that_leaves_the_name_gets_no_more() -> None:
    urls: list[str] = []
    old, new = ScriptedVerifier(always=all_pass), ScriptedVerifier(always=all_pass)
    async with client_of(old, new, urls=urls) as client:
        urls[:] = [old.url]
        await ask(client, "a")
        urls[:] = [new.url]
        old.always = refuse(503)  # it drains: the name is looked up again
        await ask(client, "b")
        old.always = all_pass
        await ask(client, "c")
    assert new.ids == [["b"], ["c"]]


async def test_a_refused_token_ends_all_that_travelled_together() -> None:
    async with client_of(ScriptedVerifier(), token="wrong") as client:
        calls = [asyncio.create_task(ask(client, i)) for i in "ab"]
        await asyncio.wait(calls)
        assert all(isinstance(call.exception(), UnauthorizedError) for call in calls)


async def test_verifiers_that_may_judge_differently_are_told_of_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    other = ScriptedVerifier(always=lambda items: answer([verdict(i) for i in items], "f" * 64))
    async with client_of(ScriptedVerifier(always=all_pass), other) as client:
        await ask(client, *IDS)
        await ask(client, *(f"again-{i}" for i in IDS))
    told = [r.getMessage() for r in caplog.records if "differently" in r.getMessage()]
    assert len(told) == 1
    assert "ffffffffffff" in told[0]
    assert "000000000000" in told[0]
