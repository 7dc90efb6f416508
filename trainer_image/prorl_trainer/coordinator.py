"""The coordinator's process: `python -m prorl_trainer.coordinator`, in a pod or on this machine.

Its last act is the termination message.
"""

import argparse
import asyncio
import logging
import os
import sys
from pathlib import Path

from prorl_api import runtime
from prorl_api.wire import Outcome, TerminationMessage

from prorl_trainer.context import Context, cluster_context, local_context
from prorl_trainer.errors import TrainingError

TERMINATION_OVERRIDE = "PRORL_TERMINATION_LOG"


def main() -> None:
    """Exits with an ExitCode."""
    arguments = _parser().parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    termination = _termination_file(arguments.run_dir)
    try:
        context = local_context(arguments.run_dir) if arguments.run_dir else cluster_context()
        _set_environment(context)
        # Ray reads its environment when it is imported.
        from prorl_trainer.lifetime import live

        message = asyncio.run(live(context))
    except TrainingError as error:  # before there was a session
        message = _failure(error)
    _write_termination(termination, message)
    sys.exit(message.exit_code)


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
    text = message.model_dump_json(by_alias=True)
    print(text, flush=True)
    try:
        path.write_text(text)
    except OSError as error:
        print(f"The termination message cannot be written to {path}: {error}", file=sys.stderr)


if __name__ == "__main__":
    main()
