"""What a plan may ask for. Applying the same action twice changes nothing."""

from dataclasses import dataclass, field
from enum import StrEnum

from prorl_api.commands import Command
from prorl_api.status import ProRLJobStatus

from prorl_operator.build.ledger import Ledger
from prorl_operator.build.names import Manifest, Slot
from prorl_operator.plan.disruption import Disruption


@dataclass(frozen=True, kw_only=True, slots=True)
class ApplyTokens:
    """Make or repair the job's Secret. `for_pods`: those that seem to miss it."""

    for_pods: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class ApplyObject:
    """Server-side apply; refused where the name belongs to somebody else."""

    manifest: Manifest


@dataclass(frozen=True, kw_only=True, slots=True)
class CreatePod:
    """Create a pod that is not there."""

    slot: Slot
    incarnation: int
    manifest: Manifest
    adds: Ledger = field(default_factory=Ledger)
    """What this replacement has added to the tally that the manifest carries."""
    disruption: Disruption | None = None
    """What took the pod before it."""

    @property
    def name(self) -> str:
        """Of the pod."""
        return str(self.manifest["metadata"]["name"])


@dataclass(frozen=True, kw_only=True, slots=True)
class DeletePod:
    """Delete this very pod. `once_created`: only if that pod has been created."""

    name: str
    uid: str
    once_created: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class DeleteJob:
    """Delete the job; its children follow by garbage collection."""


Action = ApplyTokens | ApplyObject | CreatePod | DeletePod | DeleteJob


class EventReason(StrEnum):
    """Reasons of the Events that the operator writes on a ProRLJob."""

    STARTED = "Started"
    RUNNING = "Running"
    POD_REPLACED = "PodReplaced"
    RESTARTED = "Restarted"
    CHECKPOINT_SAVED = "CheckpointSaved"
    REFERENCE_RESET = "ReferenceReset"
    GUARD_PAUSED = "GuardPaused"
    GUARD_ROLLED_BACK = "GuardRolledBack"
    BLOCKED = "Blocked"
    STALLED = "Stalled"
    IMAGE_PULL_FAILED = "ImagePullFailed"
    SUSPENDING = "Suspending"
    SUSPENDED = "Suspended"
    RESUMED = "Resumed"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedEvent:
    """An Event on the job. The same (job, reason, identity) is written once."""

    reason: str
    note: str
    identity: str
    warning: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """Everything one pass does, in this order."""

    actions: tuple[Action, ...] = ()
    status: ProRLJobStatus
    events: tuple[PlannedEvent, ...] = ()
    commands: tuple[Command, ...] = ()
    """What the coordinator is asked; again at every look, for they are idempotent by id."""
    requeue_after_s: float | None = None
    settled: bool = False
    """The objects beside the pods were looked at, and are as they should be."""
