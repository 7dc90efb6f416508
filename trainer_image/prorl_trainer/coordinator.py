"""The coordinator's process: `python -m prorl_trainer.coordinator`, in a pod or on this machine.

Its last act is the termination message.
"""

import argparse
import asyncio
import logging
import os
import signal
import sys
from pathlib import Path
from types import FrameType

from prorl_api import runtime
from prorl_api.exit_codes import ExitCode
from prorl_api.wire import Outcome, TerminationMessage

from prorl_trainer.context import Context, cluster_context, local_context
from prorl_trainer.errors import TrainingError

log = logging.getLogger(__name__)

TERMINATION_OVERRIDE = "PRORL_TERMINATION_LOG"


def main() -> None:
    """Exits with an ExitCode."""
    arguments = _parser().parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    termination = _termination_file(arguments.run_dir)
    _end_at_once_on_sigterm(termination)
    try:
        context = local_context(arguments.run_dir) if arguments.run_dir else cluster_context()
        _set_environment(context)
        # Ray reads its environment when it is imported.
        from prorl_trainer.lifetime import live

        message = asyncio.run(live(context))
    except TrainingError as error:  # before there was a session
        message = _failure(error)
    _write_termination(termination, message)
    _drop_what_stdout_refuses()
    sys.exit(message.exit_code)


def _end_at_once_on_sigterm(termination: Path) -> None:
    """Until lifetime listens: imports take seconds, and there is nothing to save yet."""

    def end(_number: int, _frame: FrameType | None) -> None:
        code = ExitCode.STOPPED
        text = "Stopped on request before anything was started."
        _write_termination(
            termination,
            TerminationMessage(
                outcome=Outcome.STOPPED, exit_code=code, reason=code.reason, message=text
            ),
        )
        os._exit(code)  # an exception might be swallowed by whatever is being imported

    signal.signal(signal.SIGTERM, end)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m prorl_trainer.coordinator", description=__doc__
    )
    parser.add_argument(
        "--run-dir", type=Path, help="run directory of local mode; absent: this is a pod"
    )
    return parser


def _set_environment(context: Context) -> None:
    os.environ.update(
        RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=context.ray_token, RAY_USAGE_STATS_ENABLED="0"
    )
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def _termination_file(run_dir: Path | None) -> Path:
    if run_dir is not None:
        return run_dir / "termination.json"
    return Path(os.environ.get(TERMINATION_OVERRIDE, runtime.TERMINATION_LOG))


def _failure(error: TrainingError) -> TerminationMessage:
    return TerminationMessage(
        outcome=Outcome.FAILED,
        exit_code=error.exit_code,
        reason=error.exit_code.reason,
        message=str(error)[:2000],
    )


def _write_termination(path: Path, message: TerminationMessage) -> None:
    data = message.as_json().encode()
    log.info("%s", data.decode())
    try:
        # Not truncated first: local mode has reserved blocks, which a full disk would not give.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.truncate()
    except OSError as error:
        log.error("the termination message cannot be written to %s: %s", path, error)


def _drop_what_stdout_refuses() -> None:
    """The log may be on the disk that is full: Python would end with 120 for a failed flush."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


if __name__ == "__main__":
    main()
