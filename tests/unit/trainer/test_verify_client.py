"""The verifier's client against a real HTTP server that plays a script."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from prorl_trainer.errors import DataError, UnauthorizedError, VerifierError
from prorl_trainer.types import Completion, FinishReason, Prompt
from prorl_trainer.verify.client import KEEPALIVE, VerifierClient, watched_socket

TOKEN = "t" * 32
Answer = Callable[[list[dict[str, Any]]], web.Response]


def make_prompt() -> Prompt:
    return Prompt(
        ordinal=0, set_name="train", domain="math", verifier="math", text="1+1?",
        token_ids=(1,), answer="2", meta={"task": "sums"},
    )  # fmt: skip


def make_completion(request_id: str) -> Completion:
    return Completion(
        request_id=request_id, token_ids=(2,), mask=(True,), logprobs=(-1.0,),
        finish_reason=FinishReason.STOP, weight_versions=("1-0",), text=f"text of {request_id}",
    )  # fmt: skip


def verdict(item: dict[str, Any], score: float | None = 1.0, **changes: Any) -> dict[str, Any]:
    outcome = "infra-error" if score is None else "pass" if score else "fail"
    return {"id": item["id"], "outcome": outcome, "score": score, "reason": "r", **changes}


def answer(verdicts: list[dict[str, Any]]) -> web.Response:
    return web.json_response({"version": "1", "verdicts": verdicts})


def all_pass(items: list[dict[str, Any]]) -> web.Response:
    return answer([verdict(item) for item in items])


def refuse(status: int, **headers: str) -> Answer:
    return lambda items: web.json_response({"error": "why"}, status=status, headers=headers)


class ScriptedVerifier:
    """Plays one answer per request; an unplanned request is answered with 418."""

    def __init__(self, *script: Answer, delay_s: float = 0) -> None:
        self.script = list(script)
        self.delay_s = delay_s
        self.asked: list[list[dict[str, Any]]] = []

    async def handle(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return web.Response(status=401)
        items = json.loads(await request.read())["items"]
        self.asked.append(items)
        await asyncio.sleep(self.delay_s)
        return self.script.pop(0)(items) if self.script else web.Response(status=418)


@asynccontextmanager
async def client_of(
    server: ScriptedVerifier,
    token: str = TOKEN,
    *,
    timeout_s: float = 5,
    limit_s: float = 0,
    budget_s: float = 20,
) -> AsyncIterator[VerifierClient]:
    app = web.Application()
    app.router.add_post("/v1/verify", server.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    client = VerifierClient(
        f"http://127.0.0.1:{runner.addresses[0][1]}", token,
        timeout_s=timeout_s, limit_s=limit_s, budget_s=budget_s,
    )  # fmt: skip
    try:
        yield client
    finally:
        await client.close()
        await runner.cleanup()


async def judge(server: ScriptedVerifier, *ids: str, **options: Any) -> list[float | None]:
    async with client_of(server, **options) as client:
        verdicts = await client.verify(make_prompt(), [make_completion(i) for i in ids])
        return [v.score for v in verdicts]


@pytest.mark.parametrize(("limit_s", "asked"), [(1.0, 1), (0.0, 2)])
async def test_a_request_may_take_as_long_as_all_that_waits_before_it_may_hang(
    limit_s: float, asked: int
) -> None:
    server = ScriptedVerifier(*[all_pass] * 20, delay_s=0.3)
    async with client_of(server, timeout_s=0.1, limit_s=limit_s, budget_s=0.5) as client:
        if limit_s:
            assert await client.verify(make_prompt(), [make_completion("a")])
        else:
            with pytest.raises(VerifierError, match="TimeoutError"):
                await client.verify(make_prompt(), [make_completion("a")])
    assert len(server.asked) >= asked


def test_a_connection_to_a_host_that_has_vanished_breaks_within_a_minute() -> None:
    with watched_socket((socket.AF_INET, socket.SOCK_STREAM, 0, "", ())) as made:
        assert made.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        idle_s, between_s, probes = (made.getsockopt(socket.IPPROTO_TCP, o) for o in KEEPALIVE)
    assert idle_s + between_s * probes <= 60


async def test_verdicts_come_in_the_order_of_the_completions() -> None:
    server = ScriptedVerifier(
        lambda items: answer([verdict(i, 0.25 if i["id"] == "a" else 1.0) for i in items[::-1]])
    )
    assert await judge(server, "a", "b") == [0.25, 1.0]
    assert server.asked == [
        [
            {"id": i, "verifier": "math", "completion": f"text of {i}", "answer": "2",
             "meta": {"task": "sums"}}
            for i in ("a", "b")
        ]
    ]  # fmt: skip


@pytest.mark.parametrize(
    "fault", [refuse(500), refuse(503), refuse(429), refuse(429, **{"Retry-After": "1"})],
    ids=["500", "503", "429", "429-with-a-time"],
)  # fmt: skip
async def test_a_busy_service_is_asked_again(fault: Answer) -> None:
    server = ScriptedVerifier(fault, all_pass)
    assert await judge(server, "a") == [1.0]


async def test_missing_verdicts_are_asked_for_again_and_only_they() -> None:
    server = ScriptedVerifier(lambda items: answer([verdict(items[1], 0.5)]), all_pass)
    assert await judge(server, "a", "b", "c") == [1.0, 0.5, 1.0]
    assert [[i["id"] for i in items] for items in server.asked] == [["a", "b", "c"], ["a", "c"]]


async def test_an_infra_error_is_tried_once_more_then_stays_unjudged() -> None:
    def broken(items: list[dict[str, Any]]) -> web.Response:
        return answer([verdict(i, None if i["id"] == "b" else 1.0) for i in items])

    server = ScriptedVerifier(broken, broken)
    async with client_of(server) as client:
        verdicts = await client.verify(make_prompt(), [make_completion(i) for i in "ab"])
        assert [v.score for v in verdicts] == [1.0, None]
        assert client.infra_errors == 1
    assert [i["id"] for i in server.asked[1]] == ["b"]


@pytest.mark.parametrize(
    ("fault", "error", "text"),
    [
        (refuse(400), DataError, "why"),
        (refuse(413), DataError, "why"),
        (refuse(404), VerifierError, "no verifier, it answers 404"),
        (lambda items: web.Response(text="<html>"), VerifierError, "malformed"),
        (lambda items: answer([verdict(items[0])] * 2), VerifierError, "a twice"),
        (lambda items: answer([verdict({"id": "z"})]), VerifierError, "z, which was not asked"),
        (lambda items: answer([verdict(items[0], 1.5)]), VerifierError, "malformed"),
        (lambda items: answer([verdict(items[0], float("nan"))]), VerifierError, "malformed"),
        (lambda items: answer([verdict(items[0], None, outcome="pass")]), VerifierError, "None"),
        (
            lambda items: answer([verdict(items[0], outcome="infra-error")]),
            VerifierError,
            "score 1.0",
        ),
    ],
    ids=[
        "bad-batch", "too-large", "not-a-verifier", "no-json", "twice", "foreign", "above-1", "nan",
        "pass-without-score", "infra-error-with-score",
    ],
)  # fmt: skip
async def test_nonsense_ends_at_once_with_what_was_said(
    fault: Answer, error: type[Exception], text: str
) -> None:
    server = ScriptedVerifier(fault)
    with pytest.raises(error, match=text):
        await judge(server, "a")
    assert len(server.asked) == 1


async def test_a_refused_token_ends_at_once() -> None:
    with pytest.raises(UnauthorizedError):
        await judge(ScriptedVerifier(), "a", token="wrong")


async def test_a_service_that_stays_away_ends_after_the_budget() -> None:
    client = VerifierClient("http://127.0.0.1:9", TOKEN, budget_s=0.5)
    with pytest.raises(VerifierError, match="did not judge for 0 s"):
        await client.verify(make_prompt(), [make_completion("a")])
    await client.close()


async def test_a_service_that_keeps_forgetting_ends_after_the_budget() -> None:
    server = ScriptedVerifier(*[lambda items: answer([])] * 10)
    with pytest.raises(VerifierError, match="no verdict for 1 of 1"):
        await judge(server, "a", budget_s=0.5)


async def test_a_long_wait_for_its_turn_does_not_use_up_the_budget() -> None:
    server = ScriptedVerifier(refuse(503), all_pass)
    async with client_of(server, budget_s=0.5) as client:
        client._slots = asyncio.Semaphore(0)
        judging = asyncio.create_task(client.verify(make_prompt(), [make_completion("a")]))
        await asyncio.sleep(0.6)
        client._slots.release()
        assert [verdict.score for verdict in await judging] == [1.0]
