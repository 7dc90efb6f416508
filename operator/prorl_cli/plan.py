"""`prorl plan`: does the job fit its GPUs? With the arithmetic shown."""

import json
import sys
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

import click
from prorl_api.job import ProRLJob
from prorl_api.spec_model import ModelSpec

from prorl_cli.arithmetic import Line, Section
from prorl_cli.budget import plan_sections
from prorl_cli.manifest import load_for_cluster
from prorl_cli.quantity import gib, parse_quantity
from prorl_cli.rundir import REFUSED
from prorl_cli.shapes import KNOWN_MODELS, ModelShape, ShapeError, parse_config

DOES_NOT_FIT = 1


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="config.json of the model, or its directory. Default: that of spec.model.uri if it is a "
    "local directory or a known model.",
)
@click.option("--gpu-memory", default="80Gi", show_default=True, help="Memory of one GPU.")
@click.option(
    "--set", "changes", multiple=True, metavar="PATH=VALUE", help="Changes one field first."
)
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text")
def plan(
    file: Path, config: Path | None, gpu_memory: str, changes: tuple[str, ...], output: str
) -> None:
    """Count memory and traffic of the job in FILE; no model is loaded, no GPU is needed.

    Exit code 0: it fits. 1: it does not. 2: the manifest or the model's shapes cannot be read.
    """
    job = load_for_cluster(file, changes)
    if not isinstance(job, ProRLJob):
        _refuse([f"{file}: {problem}" for problem in job])
    try:
        shape = find_shape(job.spec.model, config)
        sections = plan_sections(job.spec, shape, parse_quantity(gpu_memory))
    except ValueError as error:
        _refuse([f"prorl plan: {error}"])
    fits = all(section.fits for section in sections)
    if output == "json":
        click.echo(json.dumps(as_document(sections, fits=fits), indent=2))
    else:
        click.echo("\n".join(as_text(sections, fits=fits)))
    sys.exit(0 if fits else DOES_NOT_FIT)


def find_shape(model: ModelSpec, config: Path | None) -> ModelShape:
    """The model's shapes from a config.json, or from the table. Raises ShapeError."""
    parts = urlsplit(model.uri)
    if config is None and parts.scheme == "file":
        config = Path(parts.path)
    if config is not None:
        return _read_config(config / "config.json" if config.is_dir() else config)
    name = f"{parts.netloc}{parts.path}"
    if parts.scheme == "hf" and name in KNOWN_MODELS:
        return KNOWN_MODELS[name]
    known = ", ".join(f"hf://{name}" for name in sorted(KNOWN_MODELS))
    raise ShapeError(
        f"the shapes of spec.model.uri {model.uri} are not known here; give its config.json by "
        f"--config. Known are {known}, and any file:///PATH."
    )


def as_text(sections: list[Section], *, fits: bool) -> list[str]:
    """Lines for people."""
    return [text for section in sections for text in _section_text(section)] + [
        "It fits." if fits else "It does not fit."
    ]


def as_document(sections: list[Section], *, fits: bool) -> dict[str, Any]:
    """The same for programs; sizes in bytes."""
    return {"fits": fits, "sections": [_section_document(section) for section in sections]}


def _section_text(section: Section) -> list[str]:
    texts = [section.title]
    for line in section.lines:
        numbers = f"{line.formula} = {line.numbers}" if line.numbers else line.formula
        texts.append(f"  {line.name:<36} {_value(line):>16}   {numbers}")
    if any(line.counted for line in section.lines):
        total = Line(name="", formula="", numbers="", value=section.total, unit=_unit(section))
        texts.append(f"  {'sum':<36} {_value(total):>16}")
    if section.limit is not None:
        verdict = "fits" if section.fits else f"DOES NOT FIT. {section.advice}"
        limit = f"  {'limit':<36} {gib(section.limit):>16}"
        texts.append(f"{limit}   {section.limit_name}: {verdict}")
    return [*texts, ""]


def _section_document(section: Section) -> dict[str, Any]:
    lines = [
        {
            "name": line.name.strip(),
            "formula": line.formula,
            "numbers": line.numbers,
            "value": line.value,
            "unit": line.unit,
            "counted": line.counted,
        }
        for line in section.lines
    ]
    return {
        "title": section.title,
        "lines": lines,
        "total": section.total,
        "unit": _unit(section),
        "limit": section.limit,
        "fits": section.fits,
    }


def _value(line: Line) -> str:
    return gib(line.value) if line.unit == "bytes" else f"{line.value:,}"


def _unit(section: Section) -> str:
    return next((line.unit for line in section.lines if line.counted), "bytes")


def _read_config(path: Path) -> ModelShape:
    try:
        config = json.loads(path.read_bytes())
    except OSError as error:
        raise ShapeError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ShapeError(f"{path} is no JSON: {error}") from error
    if not isinstance(config, dict):
        raise ShapeError(f"{path} must hold an object")
    return parse_config(config)


def _refuse(lines: list[str]) -> NoReturn:
    for line in lines:
        click.echo(line, err=True)
    sys.exit(REFUSED)
