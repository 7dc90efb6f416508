"""`python -m prorl_verifier`: runs the service until SIGTERM, then finishes what it accepted."""

import argparse
import asyncio
import logging
import os
import signal
import sys
from pathlib import Path
from typing import NoReturn

from aiohttp import web

from prorl_verifier.metrics import Metrics
from prorl_verifier.pool import WorkerPool
from prorl_verifier.service import Service

log = logging.getLogger("prorl_verifier")

DRAIN_SECONDS = 25.0
UNAUTHORIZED = 20
"""prorl_api.exit_codes has the meaning of it."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m prorl_verifier", description=__doc__)
    default = os.environ.get
    parser.add_argument("--host", default=default("PRORL_VERIFIER_HOST", "0.0.0.0"))
    parser.add_argument("--port", type=int, default=int(default("PRORL_VERIFIER_PORT", "8000")))
    parser.add_argument("--workers", type=int, default=int(default("PRORL_VERIFIER_WORKERS", "2")))
    parser.add_argument("--timeout-seconds", type=float, default=10.0, help="limit of one verdict")
    parser.add_argument("--max-queue", type=int, default=100_000, help="items that may wait")
    parser.add_argument("--token-file", type=Path, help="file with the bearer token")
    parser.add_argument(
        "--until-stdin-closes", action="store_true", help="end when the starting process does"
    )
    parser.add_argument(
        "--insecure-no-token", action="store_true", help="answer everyone; for tests"
    )
    return parser


async def _run(arguments: argparse.Namespace, token: str | None) -> None:
    metrics = Metrics()
    pool = WorkerPool(
        workers=arguments.workers,
        timeout_s=arguments.timeout_seconds,
        max_queue=arguments.max_queue,
        metrics=metrics,
    )
    service = Service(pool, metrics, token)
    runner = web.AppRunner(
        service.app(),
        access_log=None,
        shutdown_timeout=DRAIN_SECONDS,
        handler_cancellation=True,  # a client that gives up asks again: judge its items once
    )
    await runner.setup()
    await web.TCPSite(runner, arguments.host, arguments.port).start()
    pool.open()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if arguments.until_stdin_closes:

        def stdin_closed() -> None:
            loop.remove_reader(sys.stdin)
            stop.set()

        loop.add_reader(sys.stdin, stdin_closed)
    log.info("serving on %s:%d, workers=%d", arguments.host, arguments.port, arguments.workers)
    await stop.wait()
    log.info("stopping: finishing accepted batches")
    service.draining = True
    await runner.cleanup()
    await pool.close()


def _refuse(text: str) -> NoReturn:
    print(text, file=sys.stderr)
    sys.exit(UNAUTHORIZED)


def main() -> None:
    """Exits with 0 after a drain, 20 for a missing token."""
    arguments = _parser().parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    token = None
    if not arguments.insecure_no_token:
        try:
            token = arguments.token_file.read_text().strip() if arguments.token_file else ""
        except OSError as error:
            _refuse(f"--token-file {arguments.token_file}: {error.strerror}")
        if not token:
            _refuse("--token-file: must name a file with a token (or use --insecure-no-token)")
    asyncio.run(_run(arguments, token))


if __name__ == "__main__":
    main()
