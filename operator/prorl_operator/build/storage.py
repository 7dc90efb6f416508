"""The checkpoint claim, and which claims a pod mounts where."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from prorl_api import runtime
from prorl_api.job import ProRLJob
from prorl_api.spec_roles import Role

from prorl_operator.build import names
from prorl_operator.build.names import Manifest


@dataclass(frozen=True, kw_only=True, slots=True)
class ClaimMount:
    """One claim in one pod."""

    volume: str
    claim: str
    path: PurePosixPath
    read_only: bool


def build_claim(job: ProRLJob) -> Manifest | None:
    """None where the job brings its own claim. Without owner: checkpoints outlive the job."""
    pvc = job.spec.checkpoint.storage.pvc
    if pvc.claim_name is not None or pvc.size is None:
        return None
    labels = names.labels(job)
    del labels[runtime.LABEL_JOB_UID]  # a later job with this name goes on from these checkpoints
    spec: Manifest = {
        "accessModes": ["ReadWriteMany"],
        "resources": {"requests": {"storage": pvc.size}},
    }
    if pvc.storage_class is not None:
        spec["storageClassName"] = pvc.storage_class
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": names.claim_name(job),
            "namespace": job.metadata.namespace,
            "labels": labels,
        },
        "spec": spec,
    }


def claim_mounts(job: ProRLJob, role: Role) -> list[ClaimMount]:
    """Verifiers judge model output and see no storage at all."""
    if role is Role.VERIFIER:
        return []
    storage = ClaimMount(
        volume="storage",
        claim=names.claim_name(job),
        path=runtime.STORAGE_DIR,
        read_only=role is Role.ROLLOUT,
    )
    return [storage, *_model_claims(job), *_data_claims(job, role), *_export_claims(job, role)]


def _model_claims(job: ProRLJob) -> Iterator[ClaimMount]:
    claim = _claim_of(job.spec.model.uri)
    if claim is not None:
        yield ClaimMount(volume="model", claim=claim, path=runtime.MODEL_CLAIM_DIR, read_only=True)


def _data_claims(job: ProRLJob, role: Role) -> Iterator[ClaimMount]:
    if role is not Role.COORDINATOR:
        return
    data = job.spec.data
    sets = [*data.train, *(data.validation.sets if data.validation else [])]
    claims = sorted({claim for one in sets if (claim := _claim_of(one.uri)) is not None})
    for number, claim in enumerate(claims):
        yield ClaimMount(
            volume=f"data-{number}",
            claim=claim,
            path=runtime.DATA_CLAIM_DIR / claim,
            read_only=True,
        )


def _export_claims(job: ProRLJob, role: Role) -> Iterator[ClaimMount]:
    claim = None if job.spec.export is None else _claim_of(job.spec.export.uri)
    if claim is not None and role is Role.COORDINATOR:
        path = runtime.EXPORT_CLAIM_DIR
        yield ClaimMount(volume="export", claim=claim, path=path, read_only=False)


def _claim_of(uri: str) -> str | None:
    parts = urlsplit(uri)
    return parts.netloc if parts.scheme == "pvc" else None
