"""The verifier's HTTP service: who is let in, and what a wrong batch is told."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from prorl_api.wire import VerifyResponse
from prorl_verifier import service as service_module
from prorl_verifier.canary import Canaries
from prorl_verifier.fingerprint import dataset_hash
from prorl_verifier.metrics import Metrics
from prorl_verifier.pool import Crew, WorkerPool
from prorl_verifier.pools import Pools
from prorl_verifier.sandbox.levels import Isolation
from prorl_verifier.service import Service

RIGHT = {"Authorization": "Bearer secret"}
ITEM = {"id": "a", "verifier": "math-verify", "completion": "1", "answer": "1"}


def body_of(*items: dict[str, Any]) -> bytes:
    return json.dumps({"items": items}).encode()


@pytest.fixture
async def service() -> Service:
    """Without a worker: what it accepts waits for ever, unless no worker has to see it."""
    metrics = Metrics()
    pools = Pools(WorkerPool(Crew(workers=1, timeout_s=1), max_queue=2, metrics=metrics), None)
    canaries = Canaries(pools.verify, metrics, canaries=(), interval_s=60)
    await canaries.round()
    return Service(pools, canaries, metrics, token="secret", isolation=Isolation.NONE)


@pytest.fixture
async def client(service: Service) -> AsyncIterator[TestClient]:
    async with TestClient(TestServer(service.app())) as client:
        yield client


async def text_of_metrics(client: TestClient) -> str:
    async with client.get("/metrics") as answer:
        return await answer.text()


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


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"", 400, "body: not JSON"),
        (b"\xff", 400, "body: not JSON"),
        (b"[" * 100_000, 400, "body: not JSON"),
        (b"[]", 400, "items: must be a list"),
        (b'{"items": [1]}', 400, "items[0]: must be an object"),
        (body_of(ITEM, ITEM), 400, "items[1].id: 'a' occurs twice"),
        (body_of(*({**ITEM, "id": str(i)} for i in range(3))), 429, "0 items wait, at most 2"),
    ],
)
async def test_a_wrong_batch_is_told_its_field(
    client: TestClient, body: bytes, status: int, words: str
) -> None:
    async with client.post("/v1/verify", data=body, headers=RIGHT) as answer:
        assert answer.status == status
        assert (await answer.json())["error"].startswith(words)
    refused = f'prorl_verifier_refused_batches_total{{status="{status}"}} 1.0'
    assert refused in await text_of_metrics(client)


async def test_an_answer_has_a_verdict_per_item_and_says_what_has_judged(
    client: TestClient,
) -> None:
    """Read with the types of the other side."""
    program = {**ITEM, "id": "b", "verifier": "code"}
    items = ({**ITEM, "more": 1}, program, {**ITEM, "id": "c", "completion": "1" * 1_000_001})
    async with client.post("/v1/verify", data=body_of(*items), headers=RIGHT) as answer:
        response = VerifyResponse.model_validate_json(await answer.read())
    assert [(v.id, v.outcome, v.score) for v in response.verdicts] == [
        ("a", "infra-error", None), ("b", "infra-error", None), ("c", "fail", 0.0),
    ]  # fmt: skip
    assert response.dataset_hash == dataset_hash()
    text = await text_of_metrics(client)
    assert f'prorl_verifier_info{{dataset_hash="{dataset_hash()}",version="' in text
    for labels in ('outcome="fail",verifier="none"', 'outcome="infra-error",verifier="code"'):
        assert f"prorl_verifier_verdicts_total{{{labels}}} 1.0" in text


async def test_a_body_of_unknown_size_is_refused_before_it_is_read(client: TestClient) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield body_of(ITEM)

    async with client.post("/v1/verify", data=chunks(), headers=RIGHT) as answer:
        assert answer.status == 411
    headers = {**RIGHT, "Content-Encoding": "gzip"}
    async with client.post("/v1/verify", data=b"\x1f\x8b", headers=headers) as answer:
        assert answer.status == 415


async def test_bodies_in_flight_are_bounded_and_room_comes_back(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = service_module.MAX_BYTES * 3 // 4
    head = f"POST /v1/verify HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n"
    _, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(f"{head}Authorization: Bearer secret\r\n\r\n[".encode())
    while "prorl_verifier_in_flight_bytes 0.0" in await text_of_metrics(client):
        await asyncio.sleep(0.01)
    async with client.post("/v1/verify", data=b" " * size, headers=RIGHT) as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (429, "1")
        assert f"{size} bytes are in flight" in (await answer.json())["error"]
    writer.close()  # a body that is never finished gives its room back
    while "prorl_verifier_in_flight_bytes 0.0" not in await text_of_metrics(client):
        await asyncio.sleep(0.01)
    async with client.post("/v1/verify", data=b"[" * size, headers=RIGHT) as answer:
        assert answer.status == 400


async def test_too_large_a_body_is_refused_before_it_is_sent(client: TestClient) -> None:
    reader, writer = await asyncio.open_connection(client.host, client.port)
    head = b"POST /v1/verify HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer secret\r\n"
    writer.write(head + b"Content-Length: %d\r\n\r\n" % (service_module.MAX_BYTES + 1))
    assert (await reader.readline()).startswith(b"HTTP/1.1 413")
    writer.close()


async def test_a_service_that_stops_refuses_what_is_new_and_waits_for_what_is_old(
    service: Service, client: TestClient
) -> None:
    old = asyncio.create_task(client.post("/v1/verify", data=body_of(ITEM), headers=RIGHT))
    while "prorl_verifier_queue_depth 1.0" not in await text_of_metrics(client):
        await asyncio.sleep(0.01)
    assert not await service.drain(0.01)
    for path in ("/readyz", "/healthz"):
        async with client.get(path) as answer:
            assert answer.headers["Connection"] == "close"
            assert answer.status == (503 if path == "/readyz" else 200)
    async with client.post("/v1/verify", data=body_of(ITEM), headers=RIGHT) as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
        assert await answer.json() == {"error": "the service is stopping"}
    old.cancel()
    await asyncio.wait({old})


async def test_a_service_that_has_answered_all_may_stop(service: Service) -> None:
    assert await service.drain(60)


async def test_the_metrics_have_the_names_that_dashboards_ask_for(client: TestClient) -> None:
    async with client.get("/metrics") as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=")
        text = await answer.text()
    assert 'prorl_verifier_isolation{prorl_verifier_isolation="none"} 1.0' in text
    assert 'prorl_verifier_isolation{prorl_verifier_isolation="seccomp"} 0.0' in text
    names = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE ")}
    assert {name for name in names if not name.endswith("_created")} == {
        f"prorl_verifier_{name}"
        for name in (
            "verdicts_total", "verify_seconds", "queue_depth", "worker_restarts_total",
            "in_flight_bytes", "refused_batches_total", "isolation", "info",
            "canary_failures_total", "canary_infra_errors_total",
            "canary_last_right_timestamp_seconds",
        )
    }  # fmt: skip


async def test_a_service_without_a_worker_is_not_ready(client: TestClient) -> None:
    async with client.get("/readyz") as answer:
        assert answer.status == 503
        assert await answer.json() == {"error": "no worker is ready"}
