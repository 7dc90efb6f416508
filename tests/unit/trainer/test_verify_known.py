"""Whether the service has the verifiers of a job is asked before anything is trained."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port
from manifests import GYM, manifest
from prorl_api.job import ProRLJobSpec, parse_job
from prorl_trainer.errors import ConfigError, UnauthorizedError, VerifierError
from prorl_trainer.verify.known import check_verifiers

Answer = Callable[[], web.Response]


def spec_of(train: str | None, held_out: str | None = None) -> ProRLJobSpec:
    """One set of each kind, with these verifiers."""

    def one(name: str, verifier: str | None) -> dict[str, Any]:
        return {"name": name, "domain": "logic", "uri": GYM, "verifier": verifier}

    data = {"train": [one("first", train)], "validation": {"sets": [one("second", held_out)]}}
    return parse_job(manifest(data=data)).spec


def has(*names: str) -> Answer:
    return lambda: web.json_response({"verifiers": names})


def status(code: int) -> Answer:
    return lambda: web.json_response({"error": "why"}, status=code)


@asynccontextmanager
async def service(*script: Answer) -> AsyncIterator[str]:
    left = list(script)

    async def handle(request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == "Bearer secret"
        return left.pop(0)()

    app = web.Application()
    app.router.add_get("/v1/verifiers", handle)
    async with TestServer(app) as server:
        yield str(server.make_url("")).rstrip("/")
    assert left == []


async def test_every_set_is_looked_at_and_named() -> None:
    for train, held_out, name in (("lettrs", None, "first"), (None, "lettrs", "second")):
        async with service(has("code", "letters")) as url:
            with pytest.raises(
                ConfigError,
                match=f"Data set {name}: the verification service has no verifier lettrs; did you "
                "mean letters",
            ):
                await check_verifiers(spec_of(train, held_out), url, "secret")


async def test_what_the_service_has_is_accepted_once_it_answers() -> None:
    async with service(status(503), has("code", "letters")) as url:
        await check_verifiers(spec_of("letters", "letters"), url, "secret")


async def test_nothing_is_asked_for_verifiers_that_every_service_has() -> None:
    nobody = f"http://127.0.0.1:{unused_port()}"
    await check_verifiers(spec_of("reasoning-gym", "stem"), nobody, "secret", patience_s=0)
    with pytest.raises(VerifierError, match="did not answer for 0 s"):
        await check_verifiers(spec_of("letters"), nobody, "secret", patience_s=0)


async def test_a_refused_token_and_another_service_are_told_apart() -> None:
    async with service(status(401)) as url:
        with pytest.raises(UnauthorizedError):
            await check_verifiers(spec_of("letters"), url, "secret")
    async with service(status(404)) as url:
        with pytest.raises(VerifierError, match="no verifier's, it answers 404"):
            await check_verifiers(spec_of("letters"), url, "secret")
