"""The ConfigMap with the resolved job, and the slots that the job asks for."""

from prorl_api import canonical, runtime
from prorl_api.job import ProRLJob, ProRLJobSpec
from prorl_api.spec_roles import Role

from prorl_operator.build import names
from prorl_operator.build.names import Manifest, Slot


def build_config(job: ProRLJob) -> Manifest:
    """What the coordinator and the agents read at start."""
    document = canonical.job_document(job).model_dump(mode="json", by_alias=True)
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": names.owned_metadata(job, names.config_name(job.metadata.name)),
        "data": {runtime.JOB_FILE.name: canonical.dumps(document)},
    }


def replicas(spec: ProRLJobSpec, role: Role) -> int:
    """Pods that the role should have."""
    counts = {
        Role.COORDINATOR: 1,
        Role.TRAINER: spec.trainer.replicas,
        Role.ROLLOUT: spec.rollout.replicas,
        Role.VERIFIER: spec.verifier.replicas,
    }
    return counts[role]


def slots(spec: ProRLJobSpec) -> list[Slot]:
    """All places for pods, the coordinator first."""
    return [Slot(role=role, index=i) for role in Role for i in range(replicas(spec, role))]
