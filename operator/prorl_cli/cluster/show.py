"""`prorl list`, `status`, `events`, `logs`: what a cluster knows of its jobs."""

import json
import sys
import time
from datetime import UTC, datetime
from typing import Any

import click
from prorl_api.spec_roles import Role
from rich.console import Console, RenderableType
from rich.table import Table

from prorl_cli.cluster.jobs import Jobs
from prorl_cli.cluster.options import of_jobs, of_one_job, output
from prorl_cli.cluster.screen import age_text, history, job_row, screen

COLUMNS = ("NAMESPACE", "NAME", "PHASE", "STEP", "REWARD", "KL", "REF", "CKPT", "RESTARTS", "AGE")
HISTORY_LINES = 400
LAST_EVENTS = 5
PIPE_WIDTH = 400


def _now() -> datetime:
    return datetime.fromtimestamp(time.time(), UTC)


@click.command("list")
@of_jobs
@output
@click.option("-A", "--all-namespaces", "everywhere", is_flag=True)
def list_jobs(jobs: Jobs, output: str, everywhere: bool) -> None:
    """List the jobs of a namespace."""
    found = jobs.items(everywhere=everywhere)
    if output == "json":
        click.echo(json.dumps(found, indent=2))
    elif not found:
        click.echo("no ProRLJob" + ("" if everywhere else f" in namespace {jobs.namespace}"))
    else:
        table = Table(*COLUMNS, box=None, pad_edge=False)
        for job in found:
            table.add_row(*job_row(job, _now()))
        _print(table)


@click.command()
@of_one_job
@output
def status(jobs: Jobs, name: str, output: str) -> None:
    """Show NAME on one screen: phase, step, numbers, roles, checkpoint, reference, Events."""
    job = jobs.get(name)
    if output == "json":
        click.echo(json.dumps(job.get("status", {}), indent=2))
        return
    events = jobs.events(name)[-LAST_EVENTS:]
    shown = screen(job, events, history(_log_of_coordinator(jobs, name)), _now())
    _print(shown)


def _print(shown: RenderableType) -> None:
    """In a pipe there is no edge to wrap at."""
    console = Console() if sys.stdout.isatty() else Console(width=PIPE_WIDTH)
    console.print(shown, highlight=False, markup=False)


def _log_of_coordinator(jobs: Jobs, name: str) -> list[str]:
    """Its last lines; none where it has no container yet or may not be read."""
    pods = jobs.pod_names(name, Role.COORDINATOR, 0)
    try:
        return list(jobs.log_lines(pods[-1], follow=False, tail=HISTORY_LINES)) if pods else []
    except click.ClickException as error:
        click.echo(f"no curves, the coordinator's log cannot be read: {error.message}", err=True)
        return []


@click.command()
@of_one_job
@output
def events(jobs: Jobs, name: str, output: str) -> None:
    """Show the Events of NAME, oldest first."""
    found = jobs.events(name)
    if output == "json":
        click.echo(json.dumps(found, indent=2, default=str))
        return
    for event in found:
        age = age_text(event["time"], _now())
        click.echo(f"{age:>6}  {event['type']:<8} {event['reason']:<18} {event['note']}")


@click.command()
@of_one_job
@click.option("--role", type=click.Choice([str(role) for role in Role]), default="coordinator",
              show_default=True)  # fmt: skip
@click.option("--index", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("-f", "--follow", is_flag=True, help="Go on as lines come.")
@click.option("--tail", type=click.IntRange(min=0), help="Last lines only.")
def logs(jobs: Jobs, name: str, role: str, index: int, **lines: Any) -> None:
    """Print the log of a pod of NAME: the newest of its role and index."""
    pods = jobs.pod_names(name, role, index)
    if not pods:
        raise click.ClickException(f"{name} has no {role} pod {index}")
    for line in jobs.log_lines(pods[-1], **lines):
        click.echo(line)
