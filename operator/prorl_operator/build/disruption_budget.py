"""The PodDisruptionBudget of a job, which answers the eviction API."""

from prorl_api import runtime
from prorl_api.job import ProRLJob
from prorl_api.spec_roles import Role
from prorl_api.spec_run_policy import Evictions

from prorl_operator.build import names
from prorl_operator.build.names import Manifest

KIND = "PodDisruptionBudget"


def build_disruption_budgets(job: ProRLJob, *, has_one: bool) -> list[Manifest]:
    """Of coordinator and trainers, each of which costs all of them a restart; rollout and verifier
    pods cost no step. None where evictions are allowed and always were."""
    refused = job.spec.run_policy.evictions is Evictions.REFUSED
    if not refused and not has_one:
        return []
    stay = 1 + job.spec.trainer.replicas if refused and not job.spec.suspend else 0
    return [_budget(job, stay)]


def _budget(job: ProRLJob, min_available: int) -> Manifest:
    """As a number of pods: for maxUnavailable Kubernetes asks their owner how many there should be,
    and the scale of a ProRLJob is that of its rollout."""
    roles = [str(Role.COORDINATOR), str(Role.TRAINER)]
    among = {"key": runtime.LABEL_ROLE, "operator": "In", "values": roles}
    selector = {"matchLabels": names.pod_selector(job), "matchExpressions": [among]}
    return {
        "apiVersion": "policy/v1",
        "kind": KIND,
        "metadata": names.owned_metadata(job, job.metadata.name),
        "spec": {"minAvailable": min_available, "selector": selector},
    }
