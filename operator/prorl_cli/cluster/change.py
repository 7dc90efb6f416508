"""`prorl suspend`, `resume`, `scale`: one field of the spec each; the operator does the rest."""

import click

from prorl_cli.cluster.jobs import Jobs
from prorl_cli.cluster.options import of_one_job


@click.command()
@of_one_job
def suspend(jobs: Jobs, name: str) -> None:
    """Save NAME and take away its pods. `prorl wait NAME --for Suspended` waits for it."""
    jobs.patch(name, {"suspend": True})
    click.echo(f"{name}: will be saved and suspended")


@click.command()
@of_one_job
def resume(jobs: Jobs, name: str) -> None:
    """Let a suspended NAME go on from its last checkpoint."""
    jobs.patch(name, {"suspend": False})
    click.echo(f"{name}: goes on")


@click.command()
@of_one_job
@click.option("--rollout", type=click.IntRange(min=1), required=True, help="Pods of rollout.")
def scale(jobs: Jobs, name: str, rollout: int) -> None:
    """Change the number of rollout pods of NAME while it trains."""
    jobs.patch(name, {"rollout": {"replicas": rollout}})
    click.echo(f"{name}: will have {rollout} rollout pods")
