"""`prorl run`: one job, on this machine, without a cluster."""

import signal
import sys
import time
from pathlib import Path

import click
from prorl_api.exit_codes import ExitCode
from prorl_api.job import ProRLJob
from prorl_api.wire import TerminationMessage
from pydantic import ValidationError
from rich.console import Console

from prorl_cli.manifest import load_job
from prorl_cli.process import CoordinatorProcess
from prorl_cli.progress import MetricsTail, Progress, fetch_status
from prorl_cli.report import draw, failure, known_code, summary
from prorl_cli.rundir import REFUSED, TERMINATION, RunDirectoryError, checkpoints_set_aside, prepare
from prorl_cli.view import make_view


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--seed", type=click.IntRange(min=0), help="Sets spec.algorithm.seed.")
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="PATH=VALUE",
    help="Changes one field, e.g. spec.algorithm.steps=20. May be given several times.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Run directory. Default: ./runs/NAME, with --seed ./runs/NAME-seedN.",
)
@click.option("--fresh", is_flag=True, help="Moves an existing run directory aside, to NAME.1.")
def run(
    file: Path, seed: int | None, changes: tuple[str, ...], out: Path | None, fresh: bool
) -> None:
    """Train the job in FILE on this machine. Run again to resume.

    Ctrl-C saves and ends with exit code 75; a second one ends at once. Exit code 2: the manifest
    or the directory is refused. Otherwise the exit code is the job's (docs/api.md): 0 when all
    steps are done, 10 to 21 with a reason.
    """
    if seed is not None:
        changes = (*changes, f"spec.algorithm.seed={seed}")
    job = load_job(file, changes)
    if not isinstance(job, ProRLJob):
        for problem in job:
            click.echo(f"{file}: {problem}", err=True)
        sys.exit(REFUSED)
    suffix = "" if seed is None else f"-seed{seed}"
    directory = out or Path("runs") / f"{job.metadata.name}{suffix}"
    try:
        lock = prepare(directory, job, fresh=fresh)
    except RunDirectoryError as error:
        click.echo(f"prorl run: {error}", err=True)
        sys.exit(error.exit_code)
    sys.exit(watch(CoordinatorProcess(directory, lock), directory, job, Console()))


def watch(process: CoordinatorProcess, directory: Path, job: ProRLJob, console: Console) -> int:
    """Shows progress until the coordinator has ended, then the report; returns the exit code."""
    started = time.monotonic()
    progress, tail = Progress(), MetricsTail(directory / "metrics.jsonl")
    total_steps = job.spec.algorithm.steps
    view = make_view(console, job.metadata.name, total_steps)

    def tick() -> None:
        for record in tail.read():
            progress.add(record)
        progress.status = fetch_status(directory) or progress.status
        view.show(progress, process.note)

    try:
        returncode = process.wait(tick)
        tick()
    finally:
        view.close()
    console.print()
    for line in summary(progress, total_steps, time.monotonic() - started):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    for bad in checkpoints_set_aside(directory):
        console.print(
            f"Set aside, the log says why: {bad}", markup=False, highlight=False, soft_wrap=True
        )
    if progress.steps:
        try:
            draw(progress, directory / "report.png", job.metadata.name)
        except OSError as error:
            console.print(f"report.png cannot be written: {error.strerror}.", highlight=False)
    return _verdict(process, returncode, directory, console)


def _verdict(
    process: CoordinatorProcess, returncode: int, directory: Path, console: Console
) -> int:
    """Says how it has ended; returns the exit code of the command."""
    message = _termination(directory / TERMINATION)
    if returncode == -signal.SIGTERM and process.stop_requested:
        returncode = ExitCode.STOPPED  # it had not even begun to listen
    if returncode == ExitCode.SUCCEEDED:
        lines = [f"Succeeded. Results: {directory}", *_export_lines(message, directory)]
    elif returncode == ExitCode.STOPPED:
        saved = message.checkpoint_step if message else None
        what = "nothing to save yet" if saved is None else f"saved at step {saved}"
        lines = [f"Stopped, {what}. Run again to resume. Results: {directory}"]
    elif returncode < 0 and process.stop_requested:
        lines = ["Killed. Run again to resume from the last checkpoint.", f"Log: {process.log}"]
    else:
        lines = failure(message, returncode, process.log)
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    return returncode if returncode in (0, 75) else int(known_code(returncode))


def _export_lines(message: TerminationMessage | None, directory: Path) -> list[str]:
    if message is not None and message.export is not None:
        return [f"Exported: {message.export.uri}"]
    if message is not None and message.export_failure:
        again = f"prorl export {directory} --out NEW_DIRECTORY"
        return [f"The export failed: {message.export_failure}", f"To repeat it: {again}"]
    return []


def _termination(path: Path) -> TerminationMessage | None:
    try:
        return TerminationMessage.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
