"""A committed checkpoint of a tiny model that has learned a little, and its export."""

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prorl_api.canonical import job_document
from prorl_api.job import parse_job
from prorl_api.spec_output import ExportDtype
from prorl_api.status import Progress
from prorl_api.wire import JobDocument, MetricsRecord, RoleCount, Stage, StatusDocument
from prorl_trainer.checkpoint.directory import Directory
from prorl_trainer.checkpoint.state import ReferenceState, ResetEntry, RunState
from prorl_trainer.checkpoint.store import CheckpointStore
from prorl_trainer.context import Context
from prorl_trainer.export.export import MAX_FILE_BYTES, Source, write_export
from prorl_trainer.export.manifest import ExportManifest
from prorl_trainer.export.target import DirectoryTarget
from prorl_trainer.learn.local import InProcessLearnerGroup
from prorl_trainer.observe.status import StatusHolder
from tiny_model import make_batch, make_model, make_settings

UID = "5b0f"


@dataclass(kw_only=True, slots=True)
class Trained:
    """A run directory with one checkpoint."""

    directory: Path
    model_dir: Path
    job: JobDocument
    group: InProcessLearnerGroup

    @property
    def source(self) -> Source:
        """Of the newest checkpoint."""
        return Source(
            checkpoint=max((self.directory / "checkpoints").glob("step-????????")),
            model_dir=self.model_dir,
            job=self.job,
            metrics=self.directory / "metrics.jsonl",
        )

    def save(self, step: int) -> None:
        """Commits a checkpoint of what the learner holds now."""
        store = CheckpointStore(Directory(self.directory / "checkpoints"), keep=5)
        store.open_for_attempt(None)
        self.group.learner.stage()
        asyncio.run(store.commit(make_state(self.job, step), self.group.write, 0.0))


def make_document(**spec: Any) -> JobDocument:
    """A job with a held-out set; `spec` in camelCase."""
    sets = [{"name": "sums", "domain": "math", "uri": "file:///held.jsonl"}]
    base: dict[str, Any] = {
        "model": {"uri": "hf://acme/small", "revision": "abc"},
        "data": {
            "train": [{"name": "a", "domain": "math", "uri": "file:///a.jsonl", "weight": 3}],
            "validation": {"sets": sets, "samplesPerPrompt": 4},
            "credentialsSecret": "s3-key",
        },
        "algorithm": {"steps": 9},
    }
    return job_document(parse_job({"metadata": {"name": "small", "uid": UID}, "spec": base | spec}))


def make_state(job: JobDocument, step: int) -> RunState:
    """After one reset."""
    return RunState(
        job_uid=job.uid,
        job_name=job.name,
        spec_hash=job.hash,
        data_fingerprints={"a": "rows-0", "sums": "rows-1"},
        step=step,
        tokens=12_345,
        reference=ReferenceState(
            version=1, last_reset_step=2, log=[ResetEntry(step=2, reason="Interval")]
        ),
        library_versions={"torch": "1.2.3"},
    )


def make_trained(directory: Path, step: int = 9) -> Trained:
    """After two optimizer updates, with a checkpoint and metrics."""
    model_dir = make_model(directory / "initial")
    group = InProcessLearnerGroup(model_dir)
    group.learner.update(make_batch(), make_settings(learning_rate=1e-2))
    trained = Trained(directory=directory, model_dir=model_dir, job=make_document(), group=group)
    trained.save(step)
    lines = [json.dumps(record.model_dump()) for record in make_records()]
    (directory / "metrics.jsonl").write_text("\n".join(lines) + '\n{"kind": "st')
    return trained


def make_records() -> list[MetricsRecord]:
    """Two attempts: the second one measured step 4 again. The last one is beyond the checkpoint."""
    measured = [(1, 0, 0.125), (1, 4, 0.99), (2, 4, 0.5), (2, 9, 0.375), (2, 12, 1.0)]
    return [
        MetricsRecord(
            kind="validation", step=step, attempt=attempt, time=1.0,
            values={"accuracy": value, "accuracy_sums": value},
        )
        for attempt, step, value in measured
    ]  # fmt: skip


def make_export(
    trained: Trained,
    out: Path,
    dtype: ExportDtype = ExportDtype.FLOAT32,
    max_file_bytes: int = MAX_FILE_BYTES,
) -> ExportManifest:
    """Into a directory."""
    return write_export(trained.source, DirectoryTarget(out, str(out)), dtype, max_file_bytes)


def make_context(directory: Path, uri: str | None, *, local: bool = True) -> Context:
    """Of a coordinator; uri is that of spec.export."""
    export = None if uri is None else {"uri": uri, "dtype": "float32"}
    return Context(
        local=local, job=make_document(export=export), directory=directory, attempt=1, host="",
        port=0, node_ip="", api_token="t", ray_token="t", verifier_token="t", verifier_url=None,
        termination_file=directory / "termination",
    )  # fmt: skip


def make_holder() -> StatusHolder:
    """The status of a run that trains."""
    count = RoleCount(wanted=1, usable=1)
    return StatusHolder(
        StatusDocument(
            job_uid=UID, attempt=1, stage=Stage.TRAINING, ray_session="s", progress=Progress(),
            trainers=count, engines=count, spec_hash="h",
        )
    )  # fmt: skip
