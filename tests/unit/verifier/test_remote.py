"""Remote verifiers: a real HTTP server that answers well, and in every way that is not well."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port
from hypothesis import given, settings
from hypothesis import strategies as st
from prorl_verifier.metrics import Metrics
from prorl_verifier.pool import QueueFullError
from prorl_verifier.remote import (
    MAX_CONCURRENT,
    Remote,
    RemoteError,
    RemotePool,
    parse_answer,
)
from prorl_verifier.wire import FAIL, INFRA_ERROR, PASS, Item

LIMIT_S = 2.0


class Judge:
    """Answers by the completion; remembers what it was asked and how much at once."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.at_once = self.most_at_once = 0
        self.gate = asyncio.Event()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        document = await request.json()
        self.asked.append(document)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            return await self._answer(request, document["completion"])
        finally:
            self.at_once -= 1

    async def _answer(self, request: web.Request, completion: str) -> web.StreamResponse:
        if completion == "redirect":
            raise web.HTTPFound("/elsewhere")
        if completion == "status":
            return web.json_response({"score": 1.0}, status=500)
        if completion == "hang":
            await asyncio.sleep(60)
        if completion == "gate":
            await self.gate.wait()
        if completion == "hang up":
            assert request.transport is not None
            request.transport.close()
        if completion == "flood":
            return await self._flood(request)
        return web.Response(text=completion, content_type="application/json")

    async def _flood(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(1024):
            await response.write(b" " * 10240)
        return response


async def full_marks(_: web.Request) -> web.Response:
    return web.json_response({"score": 1.0})


@pytest.fixture
async def judge() -> AsyncIterator[tuple[Judge, RemotePool]]:
    judge, app = Judge(), web.Application()
    app.router.add_post("/judge", judge.handle)
    app.router.add_route("*", "/elsewhere", full_marks)
    async with TestServer(app) as server:
        pool = make_pool(str(server.make_url("/judge")))
        pool.open()
        yield judge, pool
        await pool.close()


def make_pool(url: str, max_queue: int = 1000) -> RemotePool:
    remote = Remote(name="judge", url=url)
    return RemotePool(remote, timeout_s=LIMIT_S, max_queue=max_queue, metrics=Metrics())


def make_items(*completions: str) -> list[Item]:
    return [
        Item(id=str(i), verifier="judge", completion=text, answer={"a": [1]}, meta={"m": 2})
        for i, text in enumerate(completions)
    ]


GOOD = {
    '{"score": 1, "reason": "yes"}': (PASS, 1.0, "yes"),
    '{"score": 0.5, "other": [1]}': (FAIL, 0.5, ""),
    '{"score": 0.0, "reason": "no"}': (FAIL, 0.0, "no"),
}
BAD = {
    "redirect": "answered with status 302, must be 200",
    "status": "answered with status 500, must be 200",
    "hang": "did not answer within 2 s",
    "hang up": "did not answer: ServerDisconnectedError",
    "flood": "answered with more than 65536 bytes",
    "": "answered with what is not JSON",
    '{"score": 1': "answered with what is not JSON",
    "[" * 60_000: "answered with what is not JSON",
    "1.0": "answered with 1.0, must be an object with score",
    '{"reason": "yes"}': "must be an object with score",
    '{"score": NaN}': "answered with score nan, must be from 0 to 1",
    '{"score": 1.01}': "answered with score 1.01, must be from 0 to 1",
    '{"score": -1}': "answered with score -1, must be from 0 to 1",
    '{"score": "1"}': "answered with score '1', must be a number",
    '{"score": true}': "answered with score True, must be a number",
    '{"score": null}': "answered with score None, must be a number",
    '{"score": 1, "reason": 2}': "answered with reason 2, must be a text",
}


async def test_a_verdict_is_a_verdict_and_all_else_an_infra_error_of_its_item(
    judge: tuple[Judge, RemotePool],
) -> None:
    verdicts = await judge[1].verify(make_items(*GOOD, *BAD))
    assert [v.id for v in verdicts] == [str(i) for i in range(len(GOOD) + len(BAD))]
    good, bad = verdicts[: len(GOOD)], verdicts[len(GOOD) :]
    assert [(v.outcome, v.score, v.reason) for v in good] == list(GOOD.values())
    for verdict, words in zip(bad, BAD.values(), strict=True):
        assert (verdict.outcome, verdict.score) == (INFRA_ERROR, None)
        assert verdict.reason.startswith("remote verifier judge ")
        assert words in verdict.reason


async def test_it_is_not_asked_about_what_no_scorer_is_to_see(
    judge: tuple[Judge, RemotePool],
) -> None:
    texts = {"completion": b'"x"', "answer": b"1", "meta": b"{}"}
    wrong = {"completion": b"1", "answer": b"1e999", "meta": b"[]"}
    fields = [texts | {name: text} for name, text in wrong.items()]
    items = [
        Item(id=name, verifier="judge", **{key: msgspec.Raw(text) for key, text in one.items()})
        for name, one in zip(wrong, fields, strict=True)
    ]
    for verdict in await judge[1].verify(items):
        assert (verdict.outcome, verdict.score) == (INFRA_ERROR, None)
        assert verdict.reason.startswith(f"{verdict.id}: ")
    assert judge[0].asked == []


async def test_it_is_asked_with_completion_answer_and_meta(judge: tuple[Judge, RemotePool]) -> None:
    await judge[1].verify(make_items("x"))
    assert judge[0].asked == [{"completion": "x", "answer": {"a": [1]}, "meta": {"m": 2}}]


async def test_where_nobody_listens_is_an_infra_error() -> None:
    pool = make_pool(f"http://127.0.0.1:{unused_port()}/")
    pool.open()
    (verdict,) = await pool.verify(make_items("x"))
    assert verdict.outcome == INFRA_ERROR
    assert "did not answer: ClientConnectorError" in verdict.reason
    await pool.close()


async def test_no_more_is_asked_at_once_than_allowed(judge: tuple[Judge, RemotePool]) -> None:
    server, pool = judge
    asked = asyncio.create_task(pool.verify(make_items(*["gate"] * (2 * MAX_CONCURRENT))))
    async with asyncio.timeout(30):
        while server.at_once < MAX_CONCURRENT:
            await asyncio.sleep(0.01)
    server.gate.set()
    await asked
    assert server.most_at_once == MAX_CONCURRENT
    assert len(server.asked) == 2 * MAX_CONCURRENT


async def test_more_items_than_may_wait_are_refused() -> None:
    with pytest.raises(QueueFullError, match="0 items wait, at most 2"):
        await make_pool("http://127.0.0.1:1/", max_queue=2).verify(make_items("a", "b", "c"))


VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.none())
ANSWERS = st.fixed_dictionaries({}, optional={"score": VALUES, "reason": VALUES}) | VALUES


@settings(max_examples=200)
@given(st.binary() | st.builds(lambda value: json.dumps(value).encode(), ANSWERS))
def test_whatever_comes_is_a_score_from_0_to_1_or_an_error_of_ours(body: bytes) -> None:
    try:
        score, reason = parse_answer(body)
    except RemoteError:
        return
    assert 0.0 <= score <= 1.0
    assert isinstance(reason, str)
