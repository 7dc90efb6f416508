"""Names, labels and addresses of a job's objects, all deterministic."""

from dataclasses import dataclass
from typing import Any

from prorl_api import runtime
from prorl_api.base import API_VERSION, KIND
from prorl_api.job import ProRLJob
from prorl_api.spec_roles import Role

Manifest = dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Slot:
    """A place for one pod: its host name stays when the pod is replaced."""

    role: Role
    index: int

    @property
    def host_name(self) -> str:
        """Unique within the job, e.g. trainer-0."""
        return f"{self.role}-{self.index}"


def pod_name(job_name: str, slot: Slot, incarnation: int) -> str:
    """A replacement has another name, so it need not wait until the old pod is gone."""
    return f"{job_name}-{slot.host_name}-{incarnation}"


def config_name(job_name: str) -> str:
    """ConfigMap with the resolved job."""
    return f"{job_name}-config"


def tokens_name(job_name: str) -> str:
    """Secret with the job's tokens."""
    return f"{job_name}-tokens"


def verifier_service_name(job_name: str) -> str:
    """Service of the verification pods."""
    return f"{job_name}-verifier"


def claim_name(job: ProRLJob) -> str:
    """The checkpoint claim: an existing one, or the one made for the job."""
    return job.spec.checkpoint.storage.pvc.claim_of(job.metadata.name)


def coordinator_host(job: ProRLJob) -> str:
    """DNS name of the coordinator's pod."""
    meta = job.metadata
    return f"{Role.COORDINATOR}-0.{meta.name}.{meta.namespace}.svc"


def verifier_url(job: ProRLJob) -> str:
    """Base URL of the verifiers; its host has an address for each of them."""
    meta = job.metadata
    name = verifier_service_name(meta.name)
    return f"http://{name}.{meta.namespace}.svc:{runtime.VERIFIER_PORT}"


def labels(job: ProRLJob) -> dict[str, str]:
    """Labels of every object of the job."""
    return {
        runtime.LABEL_MANAGED_BY: runtime.MANAGED_BY,
        runtime.LABEL_JOB: job.metadata.name,
        runtime.LABEL_JOB_UID: job.metadata.uid,
    }


def pod_selector(job: ProRLJob) -> dict[str, str]:
    """Matches the job's pods of all roles, never those of an earlier job with the same name."""
    return {
        runtime.LABEL_JOB: job.metadata.name,
        runtime.LABEL_JOB_UID: job.metadata.uid,
    }


def role_selector_text(job_name: str, role: Role) -> str:
    """For the scale subresource."""
    return f"{runtime.LABEL_JOB}={job_name},{runtime.LABEL_ROLE}={role}"


def owner_reference(job: ProRLJob) -> Manifest:
    """Children go with the job; they never hold its deletion up."""
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "name": job.metadata.name,
        "uid": job.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": False,
    }


def owned_metadata(job: ProRLJob, name: str) -> Manifest:
    """metadata of a child object."""
    return {
        "name": name,
        "namespace": job.metadata.namespace,
        "labels": labels(job),
        "ownerReferences": [owner_reference(job)],
    }
