"""Bounds of the run: spec.runPolicy."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from prorl_api.base import ApiModel

YEAR_S = 31_536_000


class KeepPods(StrEnum):
    """Pods of a job that has ended."""

    NONE = "None"
    """All go. The final word is in status; logs are where the cluster collects them."""
    ENDED = "Ended"
    """Those that have ended stay, for their logs: they hold no resources. The others go."""
    ALL = "All"
    """Those that still run stay too, and hold their GPUs: for somebody who wants to look."""


class Evictions(StrEnum):
    """What the eviction API is told: `kubectl drain`, autoscalers, deschedulers."""

    ALLOWED = "Allowed"
    """A pod may be evicted; it saves, and is replaced."""
    REFUSED = "Refused"
    """Coordinator and trainers stay: a drain of their nodes waits for the end of the job, or for
    somebody who suspends it. A PodDisruptionBudget says so. Preemption, taints, pressure on a node
    and its shutdown do not ask."""


class StallAction(StrEnum):
    """What follows when no step is finished for too long."""

    REPORT = "Report"
    """The condition Stalled, an Event and the metric."""
    RESTART = "Restart"
    """Coordinator and trainers are replaced as well, as one counted restart."""


class Backoff(ApiModel):
    """Pause before the replacement of a failed coordinator or trainer: none after the first
    failure, baseSeconds after the second, twice as long after each further one. A pod that ran for
    ten minutes was healthy: no pause. Rollout and verifier pods wait by their own failures."""

    base_seconds: Annotated[int, Field(ge=1, le=3600)] = 10
    max_seconds: Annotated[int, Field(ge=1, le=86_400)] = 300


class RunPolicy(ApiModel):
    """Bounds of the run. May be changed at any time."""

    max_restarts: Annotated[int, Field(ge=0, le=1000)] = 10
    """Failures (not deletions, evictions or preemptions) after which the job has failed."""
    backoff: Backoff = Backoff()
    pending_deadline_seconds: Annotated[int, Field(ge=60, le=YEAR_S)] | None = None
    """Longest time without all pods that training needs: coordinator, trainers, rollout.minReplicas
    and one verifier. It counts at the start, after a resume and after every loss
    (status.pendingSince); then the job has failed. Absent: no limit."""
    active_deadline_seconds: Annotated[int, Field(ge=60, le=YEAR_S)] | None = None
    """Longest time from the start; then the job has failed and its last checkpoint stands. Counts
    anew after a resume, as for a batch/v1 Job. Absent: no limit."""
    stall_seconds: Annotated[int, Field(ge=60, le=604_800)] = 7200
    """Longest time without a finished step while all pods that training needs run. Choose several
    times the longest step, with its validation and checkpoint; it also covers the start. A run
    that spec.guard has paused is not stalled."""
    on_stall: StallAction = StallAction.REPORT
    ttl_seconds_after_finished: Annotated[int, Field(ge=0, le=YEAR_S)] | None = None
    """The job is deleted so long after its end, with its pods and without its checkpoints. Absent:
    it stays."""
    keep_pods: KeepPods = KeepPods.ENDED
    """Pods that stay when the job has ended."""
    evictions: Evictions = Evictions.ALLOWED
    """Whether coordinator and trainers may be evicted while the job is not suspended."""
