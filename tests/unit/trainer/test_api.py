"""The coordinator's HTTP API: who is let in, and what a wrong body is told."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import CollectorRegistry
from prorl_api.status import Progress
from prorl_api.wire import RoleCount, Stage, StatusDocument
from prorl_trainer.api import build_app
from prorl_trainer.control import Control
from prorl_trainer.observe.status import StatusHolder

RIGHT = {"Authorization": "Bearer secret"}
ROUTES = [("GET", "/v1/status"), ("POST", "/v1/commands"), ("POST", "/v1/notices")]


def make_document() -> StatusDocument:
    return StatusDocument(
        job_uid="u",
        attempt=1,
        stage=Stage.STARTING,
        ray_session="1-a",
        progress=Progress(total_steps=1),
        trainers=RoleCount(wanted=1, usable=0),
        engines=RoleCount(wanted=1, usable=0),
        spec_hash="h",
    )


@pytest.fixture
async def client() -> AsyncIterator[TestClient]:
    app = build_app(
        status=StatusHolder(make_document()),
        control=Control(),
        registry=CollectorRegistry(),
        token="secret",
    )
    async with TestClient(TestServer(app)) as client:
        yield client


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize("given", [None, "", "Bearer", "Bearer other", "secret", "Bearer secret2"])
async def test_no_or_another_token_is_refused(
    client: TestClient, method: str, path: str, given: str | None
) -> None:
    headers = {} if given is None else {"Authorization": given}
    async with client.request(method, path, headers=headers) as answer:
        assert answer.status == 401
        assert await answer.json() == {"error": "Authorization: the bearer token is wrong"}


async def test_a_token_of_any_bytes_is_refused_not_an_error(client: TestClient) -> None:
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(b"GET /v1/status HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \xff\xfe\r\n\r\n")
    assert await reader.readline() == b"HTTP/1.1 401 Unauthorized\r\n"
    writer.close()


async def test_health_and_metrics_need_no_token(client: TestClient) -> None:
    for path in ("/healthz", "/readyz", "/metrics"):
        async with client.get(path) as answer:
            assert answer.status == 200


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("/v1/commands", b"", "body: "),
        ("/v1/commands", b"{\xff", "body: "),
        ("/v1/commands", b'{"id": "a", "kind": "Explode"}', "kind: "),
        ("/v1/commands", b'{"id": "a", "kind": "Stop", "x": 1}', "x: "),
        (
            "/v1/notices",
            b'{"pod": "p", "role": "trainer", "index": 0, "deadlineSeconds": -1}',
            "deadlineSeconds: ",
        ),
    ],
)
async def test_a_wrong_body_is_told_its_field(
    client: TestClient, path: str, body: bytes, words: str
) -> None:
    async with client.post(path, data=body, headers=RIGHT) as answer:
        assert answer.status == 400
        assert (await answer.json())["error"].startswith(words)


async def test_the_right_token_gets_the_status(client: TestClient) -> None:
    async with client.get("/v1/status", headers=RIGHT) as answer:
        assert answer.status == 200
        assert (await answer.json())["stage"] == "Starting"


@pytest.mark.parametrize("say", [StatusHolder.message, lambda s, m: s.stage(Stage.DONE, m)])
def test_a_long_message_leaves_a_status_that_its_readers_accept(
    say: Callable[[StatusHolder, str], None],
) -> None:
    """They refuse a document over its limits, and an agent that does ends its pod."""
    holder = StatusHolder(make_document())
    say(holder, "x" * 5000)
    text = holder.document().model_dump_json(by_alias=True)
    assert StatusDocument.model_validate_json(text).message.startswith("xxx")
