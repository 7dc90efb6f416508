"""The verifier's HTTP service: who is let in, and what a wrong batch is told."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp.test_utils import TestClient, TestServer
from prorl_verifier.metrics import Metrics
from prorl_verifier.pool import Crew, WorkerPool
from prorl_verifier.pools import Pools
from prorl_verifier.sandbox.levels import Isolation
from prorl_verifier.service import Service

RIGHT = {"Authorization": "Bearer secret"}


@pytest.fixture
async def client() -> AsyncIterator[TestClient]:
    metrics = Metrics()
    pool = WorkerPool(Crew(workers=1, timeout_s=1), max_queue=2, metrics=metrics)  # never opened
    async with TestClient(
        TestServer(Service(Pools(pool, None), metrics, "secret", Isolation.NONE).app())
    ) as client:
        yield client


@pytest.mark.parametrize("given", [None, "", "Bearer", "Bearer other", "secret", "Bearer secret2"])
async def test_no_or_another_token_is_refused(client: TestClient, given: str | None) -> None:
    headers = {} if given is None else {"Authorization": given}
    async with client.post("/v1/verify", data=b"{}", headers=headers) as answer:
        assert answer.status == 401
        assert await answer.json() == {"error": "Authorization: the bearer token is wrong"}


async def test_a_token_of_any_bytes_is_refused_not_an_error(client: TestClient) -> None:
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(b"POST /v1/verify HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \xff\r\n\r\n")
    assert await reader.readline() == b"HTTP/1.1 401 Unauthorized\r\n"
    writer.close()


async def test_who_may_ask_is_told_the_verifiers(client: TestClient) -> None:
    async with client.get("/v1/verifiers") as answer:
        assert answer.status == 401
    async with client.get("/v1/verifiers", headers=RIGHT) as answer:
        found = await answer.json()
    assert found == {"verifiers": ["code", "instruction", "math-verify", "reasoning-gym", "stem"]}


ITEM = b'{"id": "a", "verifier": "math-verify", "completion": "1", "answer": "1"}'


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"", 400, "body: not JSON"),
        (b"\xff", 400, "body: not JSON"),
        (b"[" * 100_000, 400, "body: not JSON"),
        (b'{"items": [{"answer": NaN}]}', 400, "body: not JSON: NaN"),
        (b"[]", 400, "items: must be a list"),
        (b'{"items": [1]}', 400, "items[0]: must be an object"),
        (
            b'{"items": [%s]}' % ITEM.replace(b"math-verify", b"a" * 64),
            400,
            "items[0].verifier: must be a text of 1 to 63 characters",
        ),
        (b'{"items": [%s, %s]}' % (ITEM, ITEM), 400, "items[1].id: 'a' occurs twice"),
        (
            b'{"items": [%s]}' % b",".join(ITEM.replace(b'"a"', b'"%d"' % i) for i in range(3)),
            429,
            "0 items wait, at most 2",
        ),
    ],
)
async def test_a_wrong_batch_is_told_its_field(
    client: TestClient, body: bytes, status: int, words: str
) -> None:
    async with client.post("/v1/verify", data=body, headers=RIGHT) as answer:
        assert answer.status == status
        assert (await answer.json())["error"].startswith(words)


async def test_how_programs_are_held_is_a_metric(client: TestClient) -> None:
    async with client.get("/metrics") as answer:
        text = await answer.text()
    assert 'prorl_verifier_isolation{prorl_verifier_isolation="none"} 1.0' in text
    assert 'prorl_verifier_isolation{prorl_verifier_isolation="seccomp"} 0.0' in text


async def test_a_service_without_a_worker_is_not_ready(client: TestClient) -> None:
    async with client.get("/readyz") as answer:
        assert answer.status == 503
