"""NetworkPolicies of a job: who may talk to its pods, and to whom a verifier may talk."""

from prorl_api import runtime
from prorl_api.job import ProRLJob
from prorl_api.spec_network import NetworkPolicyKind
from prorl_api.spec_roles import Role

from prorl_operator.build import names
from prorl_operator.build.names import Manifest

RAY_ROLES = (Role.COORDINATOR, Role.TRAINER, Role.ROLLOUT)


def build_network_policies(job: ProRLJob) -> list[Manifest]:
    """None where spec.network.policy says so.

    The HTTP ports of coordinator and verifier stay open to the cluster: the operator and Prometheus
    are in other namespaces. What they serve without the job's token is health and metrics."""
    if job.spec.network.policy is NetworkPolicyKind.NONE:
        return []
    return [_of_ray_pods(job), _of_coordinator(job), _of_verifiers(job)]


def _of_ray_pods(job: ProRLJob) -> Manifest:
    """Ray, its actors and the learners' collectives: the job's own pods and nobody else."""
    own = {"from": [{"podSelector": {"matchLabels": names.pod_selector(job)}}]}
    return _policy(job, "ray", RAY_ROLES, {"policyTypes": ["Ingress"], "ingress": [own]})


def _of_coordinator(job: ProRLJob) -> Manifest:
    spec = {"policyTypes": ["Ingress"], "ingress": [_from_all(runtime.COORDINATOR_PORT)]}
    return _policy(job, "coordinator", (Role.COORDINATOR,), spec)


def _of_verifiers(job: ProRLJob) -> Manifest:
    """What models have written is run there: nothing gets out, unless a remote verifier is asked,
    wherever that is."""
    spec: Manifest = {
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [_from_all(runtime.VERIFIER_PORT)],
    }
    if job.spec.verifier.remotes:
        spec["egress"] = [{}]
    return _policy(job, "verifier", (Role.VERIFIER,), spec)


def _from_all(port: int) -> Manifest:
    everybody: Manifest = {"namespaceSelector": {}}
    return {"from": [everybody], "ports": [{"port": port, "protocol": "TCP"}]}


def _policy(job: ProRLJob, part: str, roles: tuple[Role, ...], spec: Manifest) -> Manifest:
    among = {"key": runtime.LABEL_ROLE, "operator": "In", "values": [str(role) for role in roles]}
    selector = {"matchLabels": names.pod_selector(job), "matchExpressions": [among]}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": names.owned_metadata(job, f"{job.metadata.name}-isolated-{part}"),
        "spec": {"podSelector": selector} | spec,
    }
