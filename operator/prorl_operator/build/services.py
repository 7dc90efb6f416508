"""The two Services of a job."""

from prorl_api import runtime
from prorl_api.job import ProRLJob
from prorl_api.spec_roles import Role

from prorl_operator.build import names
from prorl_operator.build.names import Manifest


def build_headless_service(job: ProRLJob) -> Manifest:
    """Gives every pod of the job a DNS name, ready or not: Ray forms before anything is ready."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": names.owned_metadata(job, job.metadata.name),
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": names.pod_selector(job),
            "ports": [_port("api", runtime.COORDINATOR_PORT), _port("ray", runtime.RAY_GCS_PORT)],
        },
    }


def build_verifier_service(job: ProRLJob) -> Manifest:
    """Its name has the address of every verifier that is ready. The coordinator spreads completions
    over them: behind one address a kept connection would stay with one verifier."""
    name = names.verifier_service_name(job.metadata.name)
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": names.owned_metadata(job, name),
        "spec": {
            "clusterIP": "None",
            "selector": names.pod_selector(job) | {runtime.LABEL_ROLE: str(Role.VERIFIER)},
            "ports": [_port("http", runtime.VERIFIER_PORT)],
        },
    }


def _port(name: str, number: int) -> Manifest:
    return {"name": name, "port": number, "protocol": "TCP", "targetPort": number}
