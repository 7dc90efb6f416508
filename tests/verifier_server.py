"""A verifier as scripted, behind a real HTTP server, and what a client sends it."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from prorl_trainer.types import Completion, FinishReason, Prompt, Verdict
from prorl_trainer.verify.client import VerifierClient
from prorl_trainer.verify.resolve import by_name

TOKEN = "t" * 32
Items = list[dict[str, Any]]
Answer = Callable[[Items], web.Response]


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


def answer(verdicts: list[dict[str, Any]], dataset_hash: str = "0" * 64) -> web.Response:
    document = {"version": "1", "datasetHash": dataset_hash, "verdicts": verdicts}
    return web.json_response(document)


def all_pass(items: Items) -> web.Response:
    return answer([verdict(item) for item in items])


def no_verdict(items: Items) -> web.Response:
    return answer([verdict(item, None) for item in items])


def refuse(status: int, **headers: str) -> Answer:
    return lambda items: web.json_response({"error": "why"}, status=status, headers=headers)


class ScriptedVerifier:
    """Plays one answer per request, then `always`; without one it answers 418."""

    def __init__(self, *script: Answer, delay_s: float = 0, always: Answer | None = None) -> None:
        self.script = list(script)
        self.always = always or refuse(418)
        self.delay_s = delay_s
        self.asked: list[Items] = []
        self.url = ""
        self._transports: set[asyncio.BaseTransport] = set()
        self._killed = False

    def kill(self) -> None:
        """All connections break, and new ones as well."""
        self._killed = True
        for transport in self._transports:
            transport.abort()  # type: ignore[attr-defined]

    @property
    def ids(self) -> list[list[str]]:
        """Of each request."""
        return [[item["id"] for item in items] for items in self.asked]

    async def handle(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return web.Response(status=401)
        items = json.loads(await request.read())["items"]
        assert request.transport is not None
        self._transports.add(request.transport)
        if self._killed:
            request.transport.abort()
        self.asked.append(items)
        await asyncio.sleep(self.delay_s)
        return (self.script.pop(0) if self.script else self.always)(items)


@asynccontextmanager
async def served(server: ScriptedVerifier) -> AsyncIterator[str]:
    """Its URL."""
    app = web.Application()
    app.router.add_post("/v1/verify", server.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server.url
    finally:
        await runner.cleanup()


@asynccontextmanager
async def client_of(
    server: ScriptedVerifier, token: str = TOKEN, **options: float
) -> AsyncIterator[VerifierClient]:
    async with served(server) as url:
        client = VerifierClient(by_name(url), token, **{"timeout_s": 5, "budget_s": 20, **options})
        try:
            yield client
        finally:
            await client.close()


async def ask(client: VerifierClient, *ids: str) -> list[Verdict]:
    """Completions that end together."""
    calls = (client.verify(make_prompt(), make_completion(i)) for i in ids)
    return list(await asyncio.gather(*calls))


async def judge(server: ScriptedVerifier, *ids: str, **options: Any) -> list[float | None]:
    async with client_of(server, **options) as client:
        return [found.score for found in await ask(client, *ids)]
