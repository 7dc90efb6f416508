"""`prorl export`: a checkpoint's model in Hugging Face format; no cluster, no GPU."""

import subprocess
import sys
from pathlib import Path

import click

from prorl_cli.process import environment

EXPORTER = (sys.executable, "-m", "prorl_trainer.export")


@click.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--out", required=True, help="New directory, or s3://BUCKET/PREFIX.")
@click.option("--dtype", type=click.Choice(["bfloat16", "float32"]), default="bfloat16",
              show_default=True)  # fmt: skip
@click.option(
    "--job",
    type=click.Path(path_type=Path),
    help="The manifest that trained it; a run directory of `prorl run` has it already.",
)
@click.option(
    "--model",
    type=click.Path(path_type=Path),
    help="The initial model's directory; default: as the job says.",
)
def export(source: Path, out: str, dtype: str, job: Path | None, model: Path | None) -> None:
    """Export a checkpoint: SOURCE itself, or the newest one of a run directory (on a claim: the
    directory with the job's name). Exit codes: docs/api.md."""
    options = {"--job": job, "--model": model}
    given = [str(word) for pair in options.items() if pair[1] is not None for word in pair]
    command = [*EXPORTER, str(source), "--out", out, "--dtype", dtype, *given]
    sys.exit(subprocess.run(command, env=environment()).returncode)
