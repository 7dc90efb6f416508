"""One JSON text per value, so that hashes and comparisons are stable."""

import hashlib
import json
from typing import Any

from prorl_api.job import ProRLJob, ProRLJobSpec
from prorl_api.wire import JobDocument


def dumps(value: Any) -> str:
    """Canonical JSON: sorted keys, no spaces, no NaN. Raises ValueError for a non-finite number."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def spec_hash(spec: ProRLJobSpec) -> str:
    """sha256 of the canonical JSON of the immutable spec with all defaults filled in."""
    # What may change while the job runs is no part of the spec's identity.
    mutable = {"rollout": {"replicas"}, "run_policy": True}
    text = dumps(spec.model_dump(mode="json", by_alias=True, exclude=mutable))  # type: ignore[arg-type]
    return hashlib.sha256(text.encode()).hexdigest()


def job_document(job: ProRLJob) -> JobDocument:
    """The resolved job that the trainer image runs."""
    meta = job.metadata
    return JobDocument(
        name=meta.name,
        namespace=meta.namespace,
        uid=meta.uid,
        spec=job.spec,
        hash=spec_hash(job.spec),
    )
