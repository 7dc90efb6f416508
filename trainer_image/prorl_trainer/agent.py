"""PID 1 of every Ray pod: `python -m prorl_trainer.agent coordinator|trainer|rollout`.

coordinator: runs the Ray head and prorl_trainer.coordinator, and ends with its exit code.
trainer, rollout: joins the coordinator's Ray cluster, rejoins when the head is a new one, answers
/healthz and /readyz, and on SIGTERM waits until the coordinator lets it go.
Configured by the environment of prorl_api.runtime.Env and the tokens below /etc/prorl/tokens.
"""

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, NoReturn

from aiohttp import web
from prorl_api import runtime
from prorl_api.spec_roles import Role
from prorl_api.wire import Outcome, TerminationMessage

from prorl_trainer.errors import TrainingError
from prorl_trainer.pod.head_life import COORDINATOR, HeadLife
from prorl_trainer.pod.link import CoordinatorLink
from prorl_trainer.pod.node_life import NodeLife, build_health_app
from prorl_trainer.pod.processes import Processes
from prorl_trainer.pod.settings import PodSettings, read_settings, termination_file

log = logging.getLogger(__name__)

ROLES = (Role.COORDINATOR, Role.TRAINER, Role.ROLLOUT)


Final = tuple[int, TerminationMessage | None]
"""Exit code, and the final word unless a child has written it."""


def main() -> None:
    """Exits with an ExitCode."""
    role = Role(_parser().parse_args().role)
    run_life(role, live_as_head if role is Role.COORDINATOR else live_as_node)


def run_life(role: Role, life: Callable[[PodSettings], Coroutine[Any, Any, Final]]) -> NoReturn:
    """Lives, writes the final word, and exits."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        code, message = asyncio.run(life(read_settings(role, os.environ)))
    except TrainingError as error:
        code, message = error.exit_code, _failure(error)
    if message is not None:
        write_termination(termination_file(os.environ), message)
    sys.exit(code)


async def live_as_head(settings: PodSettings, command: tuple[str, ...] = COORDINATOR) -> Final:
    """The coordinator's pod; command is what runs beside the Ray head."""
    life = HeadLife(settings, Processes(), command)
    _on_term(life.leave)
    return await life.run()


async def live_as_node(settings: PodSettings) -> Final:
    """A trainer's or rollout's pod."""
    url = f"http://{settings.coordinator_host}:{runtime.COORDINATOR_PORT}"
    async with CoordinatorLink(url, settings.api_token) as link:
        life = NodeLife(settings, link, Processes())
        _on_term(life.leaving.set)
        runner = web.AppRunner(build_health_app(life), access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "0.0.0.0", runtime.AGENT_PORT).start()
        try:
            message = await life.run()
        finally:
            await runner.cleanup()
    return message.exit_code, message


def write_termination(path: Path, message: TerminationMessage) -> None:
    """The last act; on standard output too."""
    text = message.as_json()
    print(text, flush=True)
    try:
        path.write_text(text)
    except OSError as error:
        log.error("The termination message cannot be written to %s: %s", path, error.strerror)


def _on_term(react: Callable[[], None]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, react)


def _failure(error: TrainingError) -> TerminationMessage:
    return TerminationMessage(
        outcome=Outcome.FAILED,
        exit_code=error.exit_code,
        reason=error.exit_code.reason,
        message=str(error)[:2000],
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m prorl_trainer.agent",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("role", choices=[str(role) for role in ROLES])
    return parser


if __name__ == "__main__":
    main()
