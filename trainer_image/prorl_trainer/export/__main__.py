"""`python -m prorl_trainer.export`: a checkpoint's model, offline. `prorl export` calls it."""

import argparse
import logging
import sys
from pathlib import Path

from prorl_api.canonical import job_document
from prorl_api.job import ProRLJob
from prorl_api.spec_output import ExportDtype
from prorl_api.validate import Problem, read_documents, read_manifest
from prorl_api.wire import JobDocument

from prorl_trainer.checkpoint.directory import STEP_NAME
from prorl_trainer.checkpoint.manifest import STATE, verify
from prorl_trainer.checkpoint.state import RunState
from prorl_trainer.context import read_job
from prorl_trainer.data.cache import DataCache
from prorl_trainer.errors import CheckpointError, ConfigError, TrainingError
from prorl_trainer.export.export import Source, write_export
from prorl_trainer.export.target import offline_target
from prorl_trainer.model.materialise import check_model, materialise


def main() -> None:
    """Exits with an ExitCode."""
    arguments = _parser().parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")
    try:
        checkpoint = find_checkpoint(arguments.source)
        target = offline_target(arguments.out)
        dtype = ExportDtype(arguments.dtype)
        write_export(_source(checkpoint, arguments.job, arguments.model), target, dtype)
    except TrainingError as error:
        print(f"prorl export: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    print(f"Exported {checkpoint.name} to {target.uri}")


def find_checkpoint(source: Path) -> Path:
    """`source` itself, or the newest step below it or its checkpoints/. Raises CheckpointError if
    there is none, or if a byte of it is not as it was written."""
    found = _checkpoints(source)
    if not found:
        raise CheckpointError(f"There is no checkpoint step-NNNNNNNN in {source}.")
    try:
        verify(found[-1])
    except ValueError as error:
        raise CheckpointError(f"{found[-1]} is broken: {error}.") from error
    return found[-1]


def _checkpoints(source: Path) -> list[Path]:
    if STEP_NAME.match(source.name):
        return [source] if source.is_dir() else []
    for directory in (source / "checkpoints", source):
        steps = [p for p in sorted(directory.glob("step-*")) if STEP_NAME.match(p.name)]
        if steps:
            return steps
    return []


def _source(checkpoint: Path, manifest: Path | None, model: Path | None) -> Source:
    run = checkpoint.resolve().parent.parent
    job = _job(checkpoint, run, manifest)
    return Source(
        checkpoint=checkpoint,
        model_dir=_model(job, run, model),
        job=job,
        metrics=run / "metrics.jsonl",
    )


def _job(checkpoint: Path, run: Path, manifest: Path | None) -> JobDocument | None:
    if manifest is not None:
        job = _read_manifest(manifest)
    elif (run / "job.json").exists():
        job = read_job(run / "job.json")
    else:
        return None
    state = RunState.model_validate_json((checkpoint / STATE).read_bytes())
    if job.hash != state.spec_hash:
        raise ConfigError(
            f"The job {job.name} did not make {checkpoint}: its spec hash is {job.hash[:12]}, the "
            f"checkpoint's is {state.spec_hash[:12]}."
        )
    return job


def _read_manifest(path: Path) -> JobDocument:
    try:
        documents = read_documents(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"The manifest {path} cannot be read: {error}.") from error
    if isinstance(documents, Problem) or len(documents) != 1:
        raise ConfigError(f"The manifest {path} must hold one ProRLJob.")
    job = read_manifest(documents[0])
    if not isinstance(job, ProRLJob):
        raise ConfigError(f"The manifest {path} is wrong at {job[0]}.")
    return job_document(job)


def _model(job: JobDocument | None, run: Path, model: Path | None) -> Path:
    if model is not None:
        return check_model(model)
    if job is None:
        raise ConfigError(
            f"{run} has no job.json: give --job MANIFEST, or the initial model by --model."
        )
    return materialise(job.spec, run / "model", DataCache(run / "data", lambda _: None))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m prorl_trainer.export", description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("--out", required=True)
    parser.add_argument("--dtype", choices=[str(d) for d in ExportDtype], default="bfloat16")
    parser.add_argument("--job", type=Path)
    parser.add_argument("--model", type=Path)
    return parser


if __name__ == "__main__":
    main()
