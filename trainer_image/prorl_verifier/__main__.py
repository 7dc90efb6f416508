"""`python -m prorl_verifier`: runs the service until SIGTERM, then finishes what it accepted."""

import argparse
import asyncio
import gc
import logging
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import uvloop
from aiohttp import web

from prorl_verifier import plugins
from prorl_verifier.canary import Canaries, load
from prorl_verifier.metrics import Metrics
from prorl_verifier.pool import Crew, WorkerPool
from prorl_verifier.pools import CODE, Judge, Pools, code_crew, plugin_crew
from prorl_verifier.remote import Remote, RemotePool
from prorl_verifier.sandbox import confine, detect
from prorl_verifier.sandbox.levels import WORDS, Isolation
from prorl_verifier.service import Service

log = logging.getLogger("prorl_verifier")

DRAIN_SECONDS = 25.0
ANSWER_SECONDS = 2.0
"""To write the last answers. Both together are less than a pod's grace of 30 s."""
CONFIG, UNAUTHORIZED = 10, 20
"""prorl_api.exit_codes has the meaning of them."""


def build_parser() -> argparse.ArgumentParser:
    """The flags that a pod's command and local mode give."""
    parser = argparse.ArgumentParser(prog="python -m prorl_verifier", description=__doc__)
    default = os.environ.get
    parser.add_argument("--host", default=default("PRORL_VERIFIER_HOST", "0.0.0.0"))
    parser.add_argument("--port", type=int, default=int(default("PRORL_VERIFIER_PORT", "8000")))
    parser.add_argument("--workers", type=int, default=int(default("PRORL_VERIFIER_WORKERS", "2")))
    parser.add_argument("--code-workers", type=int, default=2, help="programs that run at once")
    parser.add_argument(
        "--minimum-isolation", choices=WORDS, default=Isolation.SECCOMP.word,
        help="refuse to start where programs cannot be confined at least so",
    )  # fmt: skip
    parser.add_argument("--timeout-seconds", type=float, default=10.0, help="limit of one verdict")
    parser.add_argument("--max-queue", type=int, default=100_000, help="items that may wait")
    parser.add_argument(
        "--canary-seconds", type=float, default=30.0, help="pause between rounds of canaries"
    )
    parser.add_argument(
        "--remote", type=_remote, action="append", default=[], metavar="NAME=URL",
        help="a verifier that is asked by HTTP",
    )  # fmt: skip
    parser.add_argument("--token-file", type=Path, help="file with the bearer token")
    parser.add_argument(
        "--until-stdin-closes", action="store_true", help="end when the starting process does"
    )
    parser.add_argument(
        "--insecure-no-token", action="store_true", help="answer everyone; for tests"
    )
    return parser


def _remote(text: str) -> Remote:
    name, _, url = text.partition("=")
    if not name or not url.startswith(("http://", "https://")):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=URL of http or https")
    return Remote(name=name, url=url)


def _custom(arguments: argparse.Namespace, metrics: Metrics) -> dict[str, Judge]:
    """Custom verifiers by their names."""
    timeout_s, max_queue = arguments.timeout_seconds, arguments.max_queue
    found: dict[str, Judge] = {}
    if points := plugins.installed():
        crew = plugin_crew(workers=arguments.workers, timeout_s=timeout_s)
        pool = WorkerPool(crew, max_queue=max_queue, metrics=metrics)
        found |= {point.name: pool for point in points}
    for remote in arguments.remote:
        found[remote.name] = RemotePool(
            remote, timeout_s=timeout_s, max_queue=max_queue, metrics=metrics
        )
    return found


def _pools(arguments: argparse.Namespace, metrics: Metrics, isolation: Isolation) -> Pools:
    timeout_s, max_queue = arguments.timeout_seconds, arguments.max_queue
    crew = Crew(workers=arguments.workers, timeout_s=timeout_s)
    scorers = WorkerPool(crew, max_queue=max_queue, metrics=metrics)
    code = None
    if isolation is not Isolation.NONE:
        crew = code_crew(isolation, workers=arguments.code_workers, timeout_s=timeout_s)
        code = WorkerPool(crew, max_queue=max_queue, metrics=metrics)
    return Pools(scorers, code, _custom(arguments, metrics))


async def _run(arguments: argparse.Namespace, token: str | None, isolation: Isolation) -> None:
    metrics = Metrics()
    pools = _pools(arguments, metrics, isolation)
    canaries = Canaries(
        pools.verify, metrics,
        canaries=[c for c in load() if isolation or c.item.verifier != CODE],
        interval_s=arguments.canary_seconds,
    )  # fmt: skip
    service = Service(pools, canaries, metrics, token=token, isolation=isolation)
    runner = web.AppRunner(
        service.app(),
        access_log=None,
        shutdown_timeout=ANSWER_SECONDS,
        handler_cancellation=True,  # a client that gives up asks again: judge its items once
    )
    await runner.setup()
    await web.TCPSite(runner, arguments.host, arguments.port).start()
    pools.open()
    stop = asyncio.Event()
    rounds = asyncio.create_task(canaries.run())
    rounds.add_done_callback(lambda _: stop.set())
    _watch(stop, stdin=arguments.until_stdin_closes)
    log.info(
        "serving on %s:%d, workers=%d isolation=%s verifiers=%s",
        arguments.host, arguments.port, arguments.workers, isolation.word, ",".join(pools.names),
    )  # fmt: skip
    await stop.wait()
    rounds.cancel()
    log.info("stopping: finishing accepted batches")
    if not await service.drain(DRAIN_SECONDS):
        log.warning("batches are left after %.0f s: whoever waits asks another", DRAIN_SECONDS)
    await runner.cleanup()
    await pools.close()
    with suppress(asyncio.CancelledError):
        await rounds


def _watch(stop: asyncio.Event, *, stdin: bool) -> None:
    """Sets `stop` at a signal, and if asked when stdin is closed."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    def stdin_closed() -> None:
        loop.remove_reader(sys.stdin)
        stop.set()

    if stdin:
        loop.add_reader(sys.stdin, stdin_closed)


def _refuse(text: str, code: int) -> NoReturn:
    print(text, file=sys.stderr)
    sys.exit(code)


def _isolation(minimum: Isolation) -> Isolation:
    level = detect.strongest()
    if level < minimum:
        _refuse(f"--minimum-isolation {minimum.word}: this node permits {level.word} only", CONFIG)
    return level


def main() -> None:
    """Exits with 0 after a drain, 10 where programs cannot be confined or a verifier's name is not
    its own, 20 for a missing token."""
    arguments = build_parser().parse_args()
    confine.hide()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    token = None
    if not arguments.insecure_no_token:
        try:
            token = arguments.token_file.read_text().strip() if arguments.token_file else ""
        except OSError as error:
            _refuse(f"--token-file {arguments.token_file}: {error.strerror}", UNAUTHORIZED)
        if not token:
            _refuse(
                "--token-file: must name a file with a token (or use --insecure-no-token)",
                UNAUTHORIZED,
            )
    wrong = plugins.wrong_names(plugins.installed(), [remote.name for remote in arguments.remote])
    if wrong:
        _refuse("\n".join(wrong), CONFIG)
    isolation = _isolation(Isolation[arguments.minimum_isolation.upper()])
    gc.freeze()  # what is imported stays: it need not be looked at again and again
    uvloop.run(_run(arguments, token, isolation))


if __name__ == "__main__":
    main()
