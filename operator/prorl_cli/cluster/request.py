"""`prorl checkpoint`, `reset-reference`: sets a request token; the operator does the rest once."""

import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime

import click

from prorl_cli.cluster.jobs import Jobs, Manifest
from prorl_cli.cluster.options import Command, of_one_job, output
from prorl_cli.cluster.wait import ENDED, OTHER_END, TIMED_OUT, follow, phase_of, timeout


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked for: where its token stands in the spec, and its echo in the status."""

    noun: str
    block: str
    echo: str
    done: str
    """Of the echo's block, once it is done."""

    def result(self, job: Manifest, token: str) -> Manifest | None:
        """The block of the status that echoes this token."""
        found: Manifest = job.get("status", {}).get(self.echo, {})
        return found if found.get("observedToken") == token else None


CHECKPOINT = Request(
    noun="a checkpoint",
    block="checkpoint",
    echo="checkpoint",
    done="the checkpoint of step {lastStep} is durable at {uri}",
)
RESET = Request(
    noun="a reset of the reference",
    block="referenceReset",
    echo="reference",
    done="the reference is version {version}, reset after step {lastResetStep} ({lastReason})",
)


def _asking(command: Command) -> Command:
    waits = click.option("--wait", "waits", is_flag=True, help="Until it is durable.")
    return of_one_job(output(waits(timeout(3600)(command))))


@click.command()
@_asking
def checkpoint(jobs: Jobs, name: str, output: str, waits: bool, timeout_s: int) -> None:
    """Have a checkpoint of NAME made after the step in progress.

    Exit code with --wait 0: it is durable; 1: NAME has ended; 124: not within --timeout."""
    _ask(jobs, name, CHECKPOINT, output, timeout_s if waits else None)


@click.command("reset-reference")
@_asking
def reset_reference(jobs: Jobs, name: str, output: str, waits: bool, timeout_s: int) -> None:
    """Have the reference of NAME reset after the step in progress, whatever its rules say.

    Exit code with --wait 0: it is durable; 1: NAME has ended; 124: not within --timeout."""
    _ask(jobs, name, RESET, output, timeout_s if waits else None)


def _ask(jobs: Jobs, name: str, request: Request, output: str, wait_s: int | None) -> None:
    phase = phase_of(jobs.get(name))
    if phase in ENDED:
        raise click.ClickException(f"{name} has {phase.lower()}: nothing can be asked of it")
    token = datetime.fromtimestamp(time.time(), UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    jobs.patch(name, {request.block: {"requestToken": token}})
    click.echo(
        f"{name}: {request.noun} is asked for; the job is {phase or 'not seen yet'}",
        err=output == "json",
    )
    job = None if wait_s is None else _until_done(jobs, name, request, token, wait_s)
    result = None if job is None else request.result(job, token)
    if output == "json":
        said = {"name": name, "token": token, "done": result is not None, request.echo: result}
        click.echo(json.dumps(said, indent=2))
    elif result is not None:
        click.echo(f"{name}: {request.done.format(**result)}")
    if wait_s is not None and result is None:
        end = f"not within {wait_s} s" if job is None else f"has {phase_of(job).lower()} first"
        click.echo(f"{name}: {end}", err=True)
        raise SystemExit(TIMED_OUT if job is None else OTHER_END)


def _until_done(
    jobs: Jobs, name: str, request: Request, token: str, wait_s: int
) -> Manifest | None:
    """The job when it is done, or has ended; None: neither in time."""

    def settled(job: Manifest) -> bool:
        return request.result(job, token) is not None or phase_of(job) in ENDED

    return follow(jobs, name, settled, wait_s)
