"""The HTTP service: POST /v1/verify, GET /v1/verifiers, /healthz, /readyz, /metrics."""

import hmac
from dataclasses import asdict

from aiohttp import web
from prometheus_client import generate_latest

from prorl_verifier import __version__
from prorl_verifier.metrics import Metrics
from prorl_verifier.pool import QueueFullError
from prorl_verifier.pools import Pools
from prorl_verifier.sandbox.levels import Isolation
from prorl_verifier.wire import BatchError, parse_batch

MAX_BODY_BYTES = 256 << 20
RETRY_AFTER_SECONDS = "1"


class Service:
    """Routes over the workers. `draining` refuses new batches while old ones finish."""

    def __init__(
        self, pools: Pools, metrics: Metrics, token: str | None, isolation: Isolation
    ) -> None:
        metrics.isolation(isolation)
        self._isolation = isolation
        self._pools = pools
        self._metrics = metrics
        self._token = token
        self.draining = False

    def app(self) -> web.Application:
        """The application; without a token everyone may ask."""
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.router.add_post("/v1/verify", self._verify)
        app.router.add_get("/v1/verifiers", self._verifiers)
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._get_metrics)
        return app

    async def _verify(self, request: web.Request) -> web.Response:
        if not self._authorized(request):
            return _error(401, "Authorization: the bearer token is wrong")
        if self.draining:
            return _error(503, "the service is stopping")
        try:
            items = parse_batch(await request.read())
            verdicts = await self._pools.verify(items)
        except BatchError as error:
            return _error(400, str(error))
        except QueueFullError as error:
            return _error(429, str(error), {"Retry-After": RETRY_AFTER_SECONDS})
        return web.json_response(
            {"version": __version__, "verdicts": [asdict(verdict) for verdict in verdicts]}
        )

    async def _verifiers(self, request: web.Request) -> web.Response:
        if not self._authorized(request):
            return _error(401, "Authorization: the bearer token is wrong")
        return web.json_response({"verifiers": self._pools.names})

    def _authorized(self, request: web.Request) -> bool:
        if self._token is None:
            return True
        given = request.headers.get("Authorization", "").encode(errors="surrogateescape")
        return hmac.compare_digest(given, f"Bearer {self._token}".encode())

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, _: web.Request) -> web.Response:
        if self.draining or not self._pools.ready:
            return _error(503, "no worker is ready")
        return web.Response(text=f"ok isolation={self._isolation.word}\n")

    async def _get_metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self._metrics.registry), content_type="text/plain")


def _error(status: int, text: str, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response({"error": text}, status=status, headers=headers)
