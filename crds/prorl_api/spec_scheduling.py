"""Who runs the job and how its pods get their place: spec.managedBy and spec.scheduling."""

from enum import StrEnum
from typing import Annotated

from pydantic import StringConstraints

from prorl_api.base import ApiModel, DnsLabel

OPERATOR = "prorl.dev/operator"
ManagedBy = Annotated[
    str,
    StringConstraints(max_length=63, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?/[-a-zA-Z0-9._]+$"),
]
PriorityClass = Annotated[
    str, StringConstraints(max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
]


class Gang(StrEnum):
    """Which pods are admitted together."""

    NONE = "None"
    """Each pod is scheduled on its own."""
    KUEUE = "Kueue"
    """Those that training needs (coordinator, trainers, rollout.minReplicas, verifiers) are one
    pod group of Kueue, admitted together; further rollout pods are admitted one by one."""


class SchedulingSpec(ApiModel):
    """Passed on to the pods. May be changed while the job is suspended."""

    queue_name: DnsLabel | None = None
    """LocalQueue of Kueue, as the label kueue.x-k8s.io/queue-name of every pod."""
    priority_class_name: PriorityClass | None = None
    """PriorityClass of every pod; it must exist in the cluster."""
    gang: Gang = Gang.NONE
