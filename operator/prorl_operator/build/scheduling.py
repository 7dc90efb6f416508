"""What spec.scheduling gives a pod: Kueue's labels and the priority."""

from prorl_api.job import ProRLJob
from prorl_api.spec_roles import Role
from prorl_api.spec_scheduling import Gang

from prorl_operator.build.config import replicas, slots
from prorl_operator.build.names import Manifest, Slot

QUEUE_NAME = "kueue.x-k8s.io/queue-name"
GROUP_NAME = "kueue.x-k8s.io/pod-group-name"
GROUP_TOTAL = "kueue.x-k8s.io/pod-group-total-count"


def schedule(job: ProRLJob, slot: Slot, pod: Manifest) -> None:
    """Adds to a pod that is being built."""
    wanted = job.spec.scheduling
    meta = pod["metadata"]
    if wanted.priority_class_name is not None:
        pod["spec"]["priorityClassName"] = wanted.priority_class_name
    if wanted.queue_name is not None:
        meta["labels"][QUEUE_NAME] = wanted.queue_name
    if wanted.gang is Gang.KUEUE and in_gang(job, slot):
        meta["labels"][GROUP_NAME] = group_name(job)
        total = sum(in_gang(job, one) for one in slots(job.spec))
        meta["annotations"][GROUP_TOTAL] = str(total)


def in_gang(job: ProRLJob, slot: Slot) -> bool:
    """Rollout pods above the least are not: Kueue wants one total for the group's whole life."""
    spec = job.spec
    size = spec.rollout.min_replicas if slot.role is Role.ROLLOUT else replicas(spec, slot.role)
    return slot.index < size


def group_name(job: ProRLJob) -> str:
    """Another job of the same name has another group."""
    return f"{job.metadata.name}-{job.metadata.uid[:8]}"
