"""What HTTP alone costs: a server like the service's that reads a body and answers a text.

python tests/bench/verifier/echo.py PORT
"""

import asyncio
import sys

import uvloop
from aiohttp import web

ANSWER = b"x" * 1600
"""About as long as sixteen verdicts."""


async def answer(request: web.Request) -> web.Response:
    """Once all of the body is there."""
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
    return web.Response(body=ANSWER, content_type="application/json")


async def serve(port: int) -> None:
    """Until it is killed."""
    app = web.Application()
    app.router.add_post("/v1/verify", answer)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
