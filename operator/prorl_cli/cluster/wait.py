"""`prorl wait`: the exit code is the outcome."""

import time
from collections.abc import Iterable

import click
from prorl_api.status import Phase

from prorl_cli.cluster.jobs import Jobs, Manifest
from prorl_cli.cluster.options import of_one_job

OTHER_END, TIMED_OUT = 1, 124
ENDED = (Phase.SUCCEEDED, Phase.FAILED)


@click.command()
@of_one_job
@click.option(
    "--for",
    "wanted",
    type=click.Choice([str(phase) for phase in Phase]),
    default=str(Phase.SUCCEEDED),
    show_default=True,
)
@click.option(
    "--timeout",
    "timeout_s",
    type=click.IntRange(min=1),
    default=86400,
    show_default=True,
    metavar="SECONDS",
)
def wait(jobs: Jobs, name: str, wanted: str, timeout_s: int) -> None:
    """Wait until NAME is in a phase.

    Exit code 0: it is; 1: it has ended in another one; 124: not within --timeout."""
    deadline = time.monotonic() + timeout_s
    while (left_s := int(deadline - time.monotonic())) > 0:
        # The API server ends a watch whenever it likes.
        phase = _follow(jobs.changes(name, left_s), wanted)
        if phase is not None:
            click.echo(f"{name}: {phase}")
            raise SystemExit(0 if phase == wanted else OTHER_END)
    click.echo(f"{name}: not {wanted} within {timeout_s} s", err=True)
    raise SystemExit(TIMED_OUT)


def _follow(changes: Iterable[Manifest], wanted: str) -> str | None:
    """The wanted phase or the one that it has ended in; None when the changes end before."""
    for job in changes:
        phase = job.get("status", {}).get("phase")
        if phase == wanted or phase in ENDED:
            return str(phase)
    return None
