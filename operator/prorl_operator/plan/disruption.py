"""What is no fault of the job: pods that something outside it took away.

The words are those of Kubernetes: reasons of the pod condition DisruptionTarget, which the
scheduler, the taint manager, the eviction API, the pod garbage collector and the kubelet set.
"""

from enum import StrEnum


class Disruption(StrEnum):
    """What took a pod."""

    EVICTION = "EvictionByEvictionAPI"
    """kubectl drain, an autoscaler, a rebalancer."""
    PREEMPTION = "PreemptionByScheduler"
    TAINT = "DeletionByTaintManager"
    """Its node does not answer, or was tainted NoExecute (a spot notice does that)."""
    POD_GC = "DeletionByPodGC"
    """Its node is no longer part of the cluster."""
    KUBELET = "TerminationByKubelet"
    """The node is short of memory or disk, or needs the place for a critical pod."""
    NODE_SHUTDOWN = "NodeShutdown"
    NODE_LOST = "NodeLost"
    OTHER = "Other"
    """The condition has a reason that is not known here."""
    REFUSED = "RefusedByKubelet"
    """It was placed on a node that would not take it, and never ran."""
    DELETED = "Deleted"
    """Somebody deleted it."""
    GONE = "Gone"
    """It is not there any more, and nobody saw it go."""


SHUTDOWN_REASONS = ("Terminated", "NodeShutdown", "Shutdown")
OWN_LIMIT = "Evicted"
"""status.reason of a pod that the kubelet evicts. Without the condition DisruptionTarget the pod
itself went over a limit, that of an emptyDir for instance: a failure."""


def find_disruption(target_reason: str | None, pod_reason: str) -> Disruption | None:
    """`target_reason`: that of a true DisruptionTarget; `pod_reason`: status.reason."""
    if pod_reason in SHUTDOWN_REASONS:
        return Disruption.NODE_SHUTDOWN
    if pod_reason == "NodeLost":
        return Disruption.NODE_LOST
    if target_reason is not None:
        known = {str(one) for one in Disruption}
        return Disruption(target_reason) if target_reason in known else Disruption.OTHER
    return Disruption.KUBELET if pod_reason == "Preempting" else None
