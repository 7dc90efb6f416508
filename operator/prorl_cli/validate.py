"""`prorl validate`: the verdict of admission, without a cluster."""

import json
import sys
from pathlib import Path

import click
from prorl_api.validate import Problem, validate_manifest

from prorl_cli.manifest import read_file
from prorl_cli.rundir import REFUSED


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text")
def validate(files: tuple[Path, ...], output: str) -> None:
    """Check ProRLJob manifests as the API server would. Exit code 2 if one is refused."""
    found = [(path, problem) for path in files for problem in _problems(path)]
    if output == "json":
        rows = [{"file": str(f), "path": p.path, "message": p.message} for f, p in found]
        click.echo(json.dumps(rows, indent=2))
    else:
        for path, problem in found:
            click.echo(f"{path}: {problem}", err=True)
        for path in files:
            if all(refused != path for refused, _ in found):
                click.echo(f"{path}: valid")
    sys.exit(REFUSED if found else 0)


def _problems(path: Path) -> list[Problem]:
    documents = read_file(path)
    if isinstance(documents, Problem):
        return [documents]
    found = []
    for number, document in enumerate(documents):
        prefix = f"document[{number}]." if len(documents) > 1 else ""
        found += [
            Problem(path=f"{prefix}{p.path}", message=p.message)
            for p in validate_manifest(document)
        ]
    return found
