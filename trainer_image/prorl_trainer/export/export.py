"""One export: a checkpoint's policy, the model's other files, the card, then the commit."""

import importlib.metadata
import json
import logging
from dataclasses import dataclass
from pathlib import Path

from prorl_api.spec_output import ExportDtype
from prorl_api.wire import JobDocument, MetricsRecord
from pydantic import ValidationError

from prorl_trainer.checkpoint.files import storage_errors
from prorl_trainer.checkpoint.manifest import MANIFEST, SHARDS, STATE
from prorl_trainer.checkpoint.state import RunState
from prorl_trainer.errors import ConfigError
from prorl_trainer.export.card import CardFacts, build_card
from prorl_trainer.export.manifest import EXPORT, ExportManifest, describe, sha256
from prorl_trainer.export.model_files import copy_model_files
from prorl_trainer.export.policy_weights import PolicyWeights
from prorl_trainer.export.safetensors_file import write_weights
from prorl_trainer.export.target import Target, drop

log = logging.getLogger(__name__)

MAX_FILE_BYTES = 5 * 10**9
"""Of one file of weights: what hubs take without more ado."""
LIBRARIES = ("torch", "transformers")


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """What is exported."""

    checkpoint: Path
    """A committed checkpoint's directory."""
    model_dir: Path
    """The initial model: config, tokenizer."""
    job: JobDocument | None
    metrics: Path
    """metrics.jsonl of the run; may be missing."""


def write_export(
    source: Source, target: Target, dtype: ExportDtype, max_file_bytes: int = MAX_FILE_BYTES
) -> ExportManifest:
    """Makes the export unless it is there already. Raises ConfigError when something else is,
    CheckpointError, ModelError, StorageError; the target is as before then."""
    state = RunState.model_validate_json((source.checkpoint / STATE).read_bytes())
    digest = sha256(source.checkpoint / MANIFEST)
    there = target.existing()
    if there is not None:
        return _same(there, describe(state, dtype, digest, None), target)
    staging = target.staging()
    try:
        with storage_errors(staging):
            weights = PolicyWeights(str(source.checkpoint / SHARDS), source.model_dir)
            write_weights(staging, weights.shapes, dtype, weights.read, max_file_bytes)
            copy_model_files(source.model_dir, staging, dtype)
            (staging / "README.md").write_text(build_card(_facts(source, state, dtype, digest)))
            manifest = describe(state, dtype, digest, staging)
            (staging / EXPORT).write_text(manifest.model_dump_json(by_alias=True, indent=2) + "\n")
        target.commit(staging)
    finally:
        drop(staging)
    log.info("export=%s step=%d dtype=%s", target.uri, state.step, dtype)
    return manifest


def _same(there: ExportManifest, wanted: ExportManifest, target: Target) -> ExportManifest:
    if there.same_weights(wanted):
        return there
    raise ConfigError(
        f"The export {target.uri} exists already, of job {there.job_name} ({there.job_uid}), step "
        f"{there.step}, {there.dtype}; it is never overwritten."
    )


def _facts(source: Source, state: RunState, dtype: ExportDtype, digest: str) -> CardFacts:
    return CardFacts(
        state=state,
        spec=None if source.job is None else source.job.spec,
        records=read_records(source.metrics),
        dtype=dtype,
        checkpoint_sha256=digest,
        versions={name: importlib.metadata.version(name) for name in LIBRARIES},
    )


def read_records(path: Path) -> list[MetricsRecord]:
    """Whole lines of metrics.jsonl; a line that a crash has cut is left out."""
    records = []
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            records.append(MetricsRecord.model_validate(json.loads(line)))
        except (ValueError, ValidationError):
            log.warning("%s: a line that is no record is left out", path)
    return records
