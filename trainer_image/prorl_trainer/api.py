"""The coordinator's HTTP API: status, commands, notices, metrics, health."""

import hmac

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from prometheus_client import CollectorRegistry, generate_latest
from prorl_api.base import ApiModel
from prorl_api.commands import Command
from prorl_api.wire import Notice
from pydantic import ValidationError

from prorl_trainer.control import Control
from prorl_trainer.observe.status import StatusHolder

WRONG_TOKEN = {"error": "Authorization: the bearer token is wrong"}


def build_app(
    *, status: StatusHolder, control: Control, registry: CollectorRegistry, token: str
) -> web.Application:
    """Routes under /v1 need the bearer token; /healthz, /readyz and /metrics do not."""

    async def get_status(_: web.Request) -> web.Response:
        document = status.document().model_copy(update={"commands": control.results})
        return _json(document)

    async def post_command(request: web.Request) -> web.Response:
        return _json(control.command(Command.model_validate_json(await request.read())))

    async def post_notice(request: web.Request) -> web.Response:
        notice = Notice.model_validate_json(await request.read())
        return _json(control.notice(notice, request.remote or ""))

    async def get_metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), content_type="text/plain")

    async def get_health(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    app = web.Application(middlewares=[_authorized(token), _bad_input], client_max_size=1 << 16)
    app.router.add_get("/v1/status", get_status)
    app.router.add_post("/v1/commands", post_command)
    app.router.add_post("/v1/notices", post_notice)
    app.router.add_get("/metrics", get_metrics)
    app.router.add_get("/healthz", get_health)
    app.router.add_get("/readyz", get_health)
    return app


async def serve(app: web.Application, host: str, port: int) -> tuple[web.AppRunner, int]:
    """Starts serving; returns the runner (call cleanup) and the port."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=2)
    await runner.setup()
    site = web.TCPSite(runner, host, port)
    await site.start()
    return runner, int(runner.addresses[0][1])


def _json(document: ApiModel) -> web.Response:
    return web.Response(
        text=document.model_dump_json(by_alias=True), content_type="application/json"
    )


def _authorized(token: str) -> Middleware:
    expected = f"Bearer {token}".encode()

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.headers.get("Authorization", "").encode(errors="surrogateescape")
        if request.path.startswith("/v1/") and not hmac.compare_digest(given, expected):
            return web.json_response(WRONG_TOKEN, status=401)
        return await handler(request)

    return middleware


@web.middleware
async def _bad_input(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except ValidationError as error:
        problems = [
            f"{'.'.join(str(part) for part in e['loc']) or 'body'}: {e['msg']}"
            for e in error.errors(include_url=False, include_input=False)
        ]
        return web.json_response({"error": "; ".join(problems)}, status=400)
