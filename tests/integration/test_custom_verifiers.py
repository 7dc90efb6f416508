"""A service with installed and remote verifiers, as local mode starts it, judges a mixed batch."""

import os
import tomllib
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from manifests import GYM, manifest
from plugin_builders import install
from prorl_api.job import parse_job
from prorl_api.spec_roles import VerifierSpec
from prorl_trainer.errors import ConfigError
from prorl_trainer.local_verifier import LocalVerifier
from prorl_trainer.verify.known import check_verifiers

EXAMPLE = Path(__file__).parents[2] / "examples" / "custom-verifier"
ITEMS = {
    "letters": ("abx", "abc"),
    "judge": ("anything", [1]),
    "math-verify": ("2", "2"),
    "letterz": ("a", "a"),
}


async def judge(request: web.Request) -> web.Response:
    document = await request.json()
    return web.json_response({"score": 0.25 if document["answer"] == [1] else 0.0})


def job_of(verifier: str) -> Any:
    dataset = {"name": "a", "domain": "logic", "uri": GYM, "verifier": verifier}
    return parse_job(manifest(data={"train": [dataset]})).spec


async def ask(url: str) -> dict[str, tuple[str, float | None]]:
    items = [
        {"id": name, "verifier": name, "completion": completion, "answer": answer}
        for name, (completion, answer) in ITEMS.items()
    ]
    headers = {"Authorization": "Bearer secret"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(f"{url}/v1/verify", json={"items": items}) as response,
    ):
        verdicts = (await response.json())["verdicts"]
    return {verdict["id"]: (verdict["outcome"], verdict["score"]) for verdict in verdicts}


async def test_each_item_is_judged_by_the_verifier_that_it_names(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    install(monkeypatch, tmp_path, project["entry-points"]["prorl.verifiers"])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(EXAMPLE)]))
    (tmp_path / "token").write_text("secret")
    app = web.Application()
    app.router.add_post("/judge", judge)
    async with TestServer(app) as server:
        remotes = [{"name": "judge", "url": str(server.make_url("/judge"))}]
        spec = VerifierSpec.model_validate({"remotes": remotes})
        service = LocalVerifier(tmp_path / "token", spec, tmp_path / "verifier.log")
        await service.start()
        try:
            await check_verifiers(job_of("letters"), service.url, "secret")
            with pytest.raises(ConfigError, match="no verifier letterz; did you mean letters"):
                await check_verifiers(job_of("letterz"), service.url, "secret")
            assert await ask(service.url) == {
                "letters": ("fail", pytest.approx(2 / 3)),
                "judge": ("fail", 0.25),
                "math-verify": ("pass", 1.0),
                "letterz": ("infra-error", None),
            }
        finally:
            await service.close()
