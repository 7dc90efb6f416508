"""The export at the end of a run. The run has succeeded by then, whatever becomes of it."""

import asyncio
import logging
from pathlib import Path

from prorl_api.spec_output import ExportSpec
from prorl_api.status import ExportStatus

from prorl_trainer.checkpoint.place import checkpoint_files
from prorl_trainer.context import Context
from prorl_trainer.errors import ConfigError, TrainingError, last_line
from prorl_trainer.export.export import Source, write_export
from prorl_trainer.export.target import open_target
from prorl_trainer.observe.status import StatusHolder

log = logging.getLogger(__name__)


def check_export(context: Context) -> None:
    """At the start of a run, so that weeks later there is no surprise. Raises ConfigError,
    StorageError."""
    spec = context.job.spec.export
    if spec is None:
        return
    target = open_target(spec.uri, context)
    there = target.existing()
    if there is not None and there.job_uid != context.job.uid:
        raise ConfigError(
            f"spec.export.uri {spec.uri}: the export of another job, {there.job_name} "
            f"({there.job_uid}), is there; it is never overwritten."
        )
    target.check_writable()


async def export_at_end(
    context: Context, status: StatusHolder, model_dir: Path, last_step: int | None
) -> None:
    """Writes spec.export from the last checkpoint. A failure is told and logged, never raised: it
    can be repeated by `prorl export`."""
    spec = context.job.spec.export
    if spec is None or last_step is None:
        return
    status.message(f"Exporting the model to {spec.uri}")
    try:
        await asyncio.to_thread(_export, context, spec, model_dir, last_step)
    except TrainingError as error:
        log.error("the export failed: %s", error)
        status.export_failed(str(error))
    except Exception as error:  # what was trained must not be lost with it
        log.exception("the export failed")
        status.export_failed(f"{type(error).__name__}: {last_line(str(error))}")
    else:
        status.exported(ExportStatus(uri=spec.uri, step=last_step))


def _export(context: Context, spec: ExportSpec, model_dir: Path, step: int) -> None:
    with checkpoint_files(context, step) as checkpoint:
        source = Source(
            checkpoint=checkpoint,
            model_dir=model_dir,
            job=context.job,
            metrics=context.directory / "metrics.jsonl",
        )
        write_export(source, open_target(spec.uri, context), spec.dtype)
