"""The HTTP service: POST /v1/verify, GET /v1/verifiers, /healthz, /readyz, /metrics."""

import asyncio
import hmac
from collections.abc import Mapping

from aiohttp import web
from aiohttp.typedefs import Handler
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from prorl_verifier import __version__
from prorl_verifier.canary import Canaries
from prorl_verifier.fingerprint import dataset_hash
from prorl_verifier.intake import Intake, IntakeFullError
from prorl_verifier.metrics import Metrics
from prorl_verifier.pool import QueueFullError
from prorl_verifier.pools import Pools
from prorl_verifier.sandbox.levels import Isolation
from prorl_verifier.wire import BatchError, Item, Verdict, encode, parse_batch

MAX_BYTES = 64 << 20
"""Of one body, and of all bodies that are in flight."""
RETRY_AFTER = {"Retry-After": "1"}
UNSEEN = "none"
"""In metrics, the verifier of an item that no worker had to see."""
STOPPING = "the service is stopping"


class RefusedError(Exception):
    """The batch is not accepted; nothing of it was judged."""

    def __init__(self, status: int, text: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.headers = headers


class Service:
    """Routes over the workers. `drain` refuses new batches and waits for the old ones."""

    def __init__(
        self,
        pools: Pools,
        canaries: Canaries,
        metrics: Metrics,
        *,
        token: str | None,
        isolation: Isolation,
    ) -> None:
        self._identity = {"version": __version__, "datasetHash": dataset_hash()}
        metrics.describe(isolation, __version__, self._identity["datasetHash"])
        self._isolation = isolation
        self._pools = pools
        self._canaries = canaries
        self._metrics = metrics
        self._intake = Intake(MAX_BYTES, metrics.bytes_in_flight)
        self._token = token
        self._draining = False

    def app(self) -> web.Application:
        """The application; without a token everyone may ask."""
        app = web.Application(middlewares=[self._closing])
        app.router.add_post("/v1/verify", self._verify)
        app.router.add_get("/v1/verifiers", self._verifiers)
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._get_metrics)
        return app

    async def drain(self, limit_s: float) -> bool:
        """Refuses new batches; False if old ones are not answered within limit_s seconds."""
        self._draining = True
        try:
            async with asyncio.timeout(limit_s):
                await self._intake.emptied()
        except TimeoutError:
            return False
        return True

    @web.middleware
    async def _closing(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Once it is stopping, an answer ends its connection: the next request goes elsewhere."""
        response = await handler(request)
        if self._draining:
            response.force_close()
        return response

    async def _verify(self, request: web.Request) -> web.Response:
        try:
            num_bytes = self._check(request)
            with self._intake.hold(num_bytes):
                verdicts = await self._judge(parse_batch(await _read(request)))
        except RefusedError as error:
            return self._refuse(error.status, str(error), error.headers)
        except BatchError as error:
            return self._refuse(400, str(error))
        except (QueueFullError, IntakeFullError) as error:
            return self._refuse(429, str(error), RETRY_AFTER)
        body = encode(self._identity | {"verdicts": verdicts})
        return web.Response(body=body, content_type="application/json")

    def _check(self, request: web.Request) -> int:
        """The body's size. Raises RefusedError before any of the body is read."""
        if not self._authorized(request):
            raise RefusedError(401, "Authorization: the bearer token is wrong")
        if self._draining:
            raise RefusedError(503, STOPPING, RETRY_AFTER)
        self._check_canaries()
        num_bytes = request.content_length
        if num_bytes is None:
            raise RefusedError(411, "Content-Length: missing")
        if num_bytes > MAX_BYTES:
            raise RefusedError(413, f"body: {num_bytes} bytes, at most {MAX_BYTES}")
        if "Content-Encoding" in request.headers:  # its size would say nothing
            raise RefusedError(415, "Content-Encoding: must be absent")
        return num_bytes

    def _check_canaries(self) -> None:
        if self._canaries.fault is not None:
            raise RefusedError(503, self._canaries.fault, RETRY_AFTER)

    async def _judge(self, entries: list[Item | Verdict]) -> list[Verdict]:
        """One verdict per entry, in order."""
        judged = iter(await self._pools.verify([e for e in entries if isinstance(e, Item)]))
        self._check_canaries()  # what was judged beside wrong verdicts is not given away
        verdicts = [next(judged) if isinstance(entry, Item) else entry for entry in entries]
        self._count([e.verifier if isinstance(e, Item) else UNSEEN for e in entries], verdicts)
        return verdicts

    def _count(self, verifiers: list[str], verdicts: list[Verdict]) -> None:
        for name in set(verifiers):
            given = [v for by, v in zip(verifiers, verdicts, strict=True) if by == name]
            self._metrics.verdicts(name if name in self._pools.names else UNSEEN, given)

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
        fault = STOPPING if self._draining else self._canaries.fault
        if fault is None and not self._pools.ready:
            fault = "no worker is ready"
        if fault is not None:
            return _error(503, fault)
        return web.json_response(
            self._identity | {"status": "ok", "isolation": self._isolation.word}
        )

    async def _get_metrics(self, _: web.Request) -> web.Response:
        body = generate_latest(self._metrics.registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    def _refuse(
        self, status: int, text: str, headers: Mapping[str, str] | None = None
    ) -> web.Response:
        self._metrics.refused.labels(status).inc()
        return _error(status, text, headers)


async def _read(request: web.Request) -> bytearray:
    """The body, which the request itself does not keep: it is dropped when it has been parsed."""
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
    return body


def _error(status: int, text: str, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.json_response({"error": text}, status=status, headers=headers)
