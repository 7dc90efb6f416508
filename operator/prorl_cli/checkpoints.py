"""`prorl checkpoints`: lists, verifies and compares checkpoints offline; no cluster."""

import subprocess
import sys

import click

from prorl_cli.process import environment

READER = (sys.executable, "-m", "prorl_trainer.checkpoint")


@click.command()
@click.argument("source")
@click.option("--verify", is_flag=True, help="Read every byte and compare the hashes.")
@click.option("--compare", type=int, nargs=2, metavar="STEP STEP", help="What differs.")
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table",
              show_default=True)  # fmt: skip
def checkpoints(source: str, verify: bool, compare: tuple[int, int] | None, output: str) -> None:
    """List the checkpoints of SOURCE: a name in ./runs, a run directory (on a claim: the directory
    with the job's name), or s3://BUCKET/PREFIX/NAME/checkpoints. Ends with 13 if one is bad."""
    words = ["--verify"] if verify else []
    words += ["--compare", *map(str, compare)] if compare else []
    command = [*READER, source, *words, "--output", output]
    sys.exit(subprocess.run(command, env=environment()).returncode)
