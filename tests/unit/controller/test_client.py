"""Requests to the API server, over a real connection."""

import json
from pathlib import Path

import pytest
from aiohttp import web
from prorl_operator.kube.client import KubeClient, load_configuration

DEAD = "http://127.0.0.1:9"


def kubeconfig(path: Path, url: str) -> str:
    parts = {
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": {}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "Config", **parts}))
    return str(path)


async def test_neither_a_netrc_nor_a_proxy_of_the_environment_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str | None] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request.headers.get("Authorization"))
        return web.json_response({"metadata": {"name": "q"}})

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("http_proxy", DEAD)
    monkeypatch.setenv("no_proxy", "")
    host, port = runner.addresses[0][:2]
    configuration = await load_configuration(
        kubeconfig(tmp_path / "config", f"http://{host}:{port}")
    )
    client = KubeClient(configuration, lambda verb, code: None)
    try:
        assert await client.get("ProRLJob", "team", "q") == {"metadata": {"name": "q"}}
    finally:
        await client.close()
        await runner.cleanup()
    assert seen == [None]
