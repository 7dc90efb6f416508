"""/metrics, /healthz and /readyz."""

from dataclasses import dataclass

from aiohttp import web

from prorl_operator.metrics import Metrics


@dataclass(kw_only=True, slots=True)
class Health:
    """What readiness depends on."""

    leading: bool = False
    standing_by: bool = False
    """Another instance leads: there is nothing to do but to wait, and that works."""
    filled: bool = False

    @property
    def missing(self) -> str:
        """What is not there yet, or nothing."""
        if not self.leading:
            return "" if self.standing_by else "the Lease is not taken yet"
        return "" if self.filled else "the watched objects are not listed yet"


async def serve(port: int, metrics: Metrics, health: Health) -> web.AppRunner:
    """Listens on all addresses; port 0 picks a free one."""

    async def show_metrics(_: web.Request) -> web.Response:
        return web.Response(body=metrics.render(), content_type="text/plain")

    async def healthy(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def ready(_: web.Request) -> web.Response:
        missing = health.missing
        return web.Response(text=f"{missing or 'ok'}\n", status=503 if missing else 200)

    app = web.Application()
    app.router.add_get("/metrics", show_metrics)
    app.router.add_get("/healthz", healthy)
    app.router.add_get("/readyz", ready)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, port=port).start()
    return runner
