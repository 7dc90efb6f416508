"""Options that the commands on a cluster share."""

from collections.abc import Callable
from functools import reduce, wraps
from typing import Any

import click

from prorl_cli.cluster.jobs import Jobs

Command = Callable[..., None]

output = click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text")


def of_jobs(command: Command) -> Command:
    """Where the jobs are; the command is given the Jobs of there."""

    @wraps(command)
    def connected(
        *, namespace: str | None, context: str | None, kubeconfig: str | None, **rest: Any
    ) -> None:
        command(Jobs(namespace, context, kubeconfig), **rest)

    options = (
        click.option("-n", "--namespace", help="Default: the kubeconfig context's."),
        click.option("--context", help="Context of the kubeconfig."),
        click.option("--kubeconfig", envvar="KUBECONFIG", help="Default: that of kubectl."),
    )
    return reduce(lambda wrapped, option: option(wrapped), options, connected)


def of_one_job(command: Command) -> Command:
    """The same, and NAME."""
    return click.argument("name")(of_jobs(command))
