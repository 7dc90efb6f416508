"""`prorl wait`: the exit code is the outcome."""

import time
from collections.abc import Callable

import click
from prorl_api.status import Phase

from prorl_cli.cluster.jobs import Jobs, Manifest
from prorl_cli.cluster.options import Command, of_one_job

OTHER_END, TIMED_OUT = 1, 124
ENDED = (Phase.SUCCEEDED, Phase.FAILED)


def timeout(default_s: int) -> Callable[[Command], Command]:
    """The option --timeout: how long is waited."""
    return click.option(
        "--timeout",
        "timeout_s",
        type=click.IntRange(min=1),
        default=default_s,
        show_default=True,
        metavar="SECONDS",
    )


def phase_of(job: Manifest) -> str:
    """Empty before the operator has seen it."""
    return str(job.get("status", {}).get("phase", ""))


def follow(
    jobs: Jobs, name: str, settled: Callable[[Manifest], bool], timeout_s: int
) -> Manifest | None:
    """The job as soon as it is settled; None: not in time."""
    deadline = time.monotonic() + timeout_s
    while (left_s := int(deadline - time.monotonic())) > 0:
        # The API server ends a watch whenever it likes.
        found = next((job for job in jobs.changes(name, left_s) if settled(job)), None)
        if found is not None:
            return found
    return None


@click.command()
@of_one_job
@click.option(
    "--for",
    "wanted",
    type=click.Choice([str(phase) for phase in Phase]),
    default=str(Phase.SUCCEEDED),
    show_default=True,
)
@timeout(86400)
def wait(jobs: Jobs, name: str, wanted: str, timeout_s: int) -> None:
    """Wait until NAME is in a phase.

    Exit code 0: it is; 1: it has ended in another one; 124: not within --timeout."""

    found = follow(jobs, name, lambda job: phase_of(job) in (wanted, *ENDED), timeout_s)
    if found is None:
        click.echo(f"{name}: not {wanted} within {timeout_s} s", err=True)
        raise SystemExit(TIMED_OUT)
    click.echo(f"{name}: {phase_of(found)}")
    raise SystemExit(0 if phase_of(found) == wanted else OTHER_END)
