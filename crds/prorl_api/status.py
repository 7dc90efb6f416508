"""ProRLJob.status: written by the operator only."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints

from prorl_api.base import ApiModel, RequestToken
from prorl_api.spec_guard import GuardAction

Message = Annotated[str, StringConstraints(max_length=4096)]
Timestamp = Annotated[
    str, StringConstraints(max_length=32), Field(json_schema_extra={"format": "date-time"})
]
Measured = Annotated[float, AfterValidator(lambda value: float(f"{value:.4g}"))]
"""Four significant digits: a status is read by people, and a change in the tenth is no news."""


class Phase(StrEnum):
    """A summary of the conditions, for people."""

    PENDING = "Pending"
    STARTING = "Starting"
    RUNNING = "Running"
    RECOVERING = "Recovering"
    SUSPENDING = "Suspending"
    """The last checkpoint is written, then the pods go."""
    SUSPENDED = "Suspended"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"


class ConditionType(StrEnum):
    """The condition types of a ProRLJob."""

    SUSPENDED = "Suspended"
    """True while spec.suspend keeps the job without pods."""
    ROLES_READY = "RolesReady"
    PROGRESSING = "Progressing"
    CHECKPOINTED = "Checkpointed"
    DEGRADED = "Degraded"
    STALLED = "Stalled"
    """True while no step is finished for longer than runPolicy.stallSeconds."""
    DISRUPTED = "Disrupted"
    """True from the moment when something outside the job took a pod until all are ready again."""
    EXPORTED = "Exported"
    COMPLETED = "Completed"
    FAILED = "Failed"


class Condition(ApiModel):
    """A metav1.Condition."""

    type: Annotated[str, StringConstraints(max_length=64)]
    status: Literal["True", "False", "Unknown"]
    reason: Annotated[str, StringConstraints(max_length=128, pattern=r"^[A-Za-z][A-Za-z0-9_]*$")]
    message: Message
    last_transition_time: Timestamp
    observed_generation: int = 0


class RoleStatus(ApiModel):
    """Pods of one role."""

    desired: int = 0
    ready: int = 0
    failed: int = 0
    """Failed pods seen so far that count as failures."""
    selector: Annotated[str, StringConstraints(max_length=512)] | None = None
    """Label selector of the role's pods, for the scale subresource."""


class Roles(ApiModel):
    """Pods per role."""

    coordinator: RoleStatus = RoleStatus()
    trainer: RoleStatus = RoleStatus()
    rollout: RoleStatus = RoleStatus()
    verifier: RoleStatus = RoleStatus()


class Progress(ApiModel):
    """Where training is, as last reported by the coordinator."""

    step: int = 0
    """Finished RL steps."""
    total_steps: int = 0
    last_time: Timestamp | None = None
    """When the last step was finished."""
    tokens: int = 0
    """Response tokens generated since step 0."""
    reward_mean: Measured | None = None
    """Mean raw reward of the last step's completions, before dynamic sampling."""
    accuracy: Measured | None = None
    """Last held-out accuracy (mean pass@1 over the validation sets)."""
    kl: Measured | None = None
    """Mean k2 KL to the reference, nats per token."""
    entropy: Measured | None = None
    """Mean estimated entropy of the policy, nats per token."""


class CheckpointStatus(ApiModel):
    """The last durable checkpoint."""

    last_step: int
    last_time: Timestamp
    uri: Annotated[str, StringConstraints(max_length=2048)]
    size_bytes: int
    observed_token: RequestToken | None = None
    """The last checkpoint.requestToken whose checkpoint is durable."""


class ReferenceStatus(ApiModel):
    """The frozen reference policy, as the last durable checkpoint has it."""

    version: int = 0
    """0 is the initial model; every reset adds 1."""
    last_reset_step: int | None = None
    last_reason: Annotated[str, StringConstraints(max_length=64)] | None = None
    next_reset_step: int | None = None
    """The next one by referenceReset.everySteps."""
    observed_token: RequestToken | None = None
    """The last referenceReset.requestToken whose reset is durable."""


class ExportStatus(ApiModel):
    """The exported model."""

    uri: Annotated[str, StringConstraints(max_length=2048)]
    step: int
    """Finished RL steps of the weights."""


class GuardStatus(ApiModel):
    """What spec.guard has brought about."""

    actions: int = 0
    """Pauses and rollbacks so far."""
    last_action: GuardAction
    last_rule: Annotated[str, StringConstraints(max_length=64)]
    """Field of spec.guard that was broken."""
    last_step: int
    """Finished steps when it was found broken."""
    went_on_from: int
    """The step that the run went back to, or waits at."""
    message: Annotated[str, StringConstraints(max_length=1024)]
    """The number that mattered."""


class ProRLJobStatus(ApiModel):
    """Everything that the operator knows about the job. Rebuilt from observation."""

    observed_generation: int = 0
    applied_generation: int = 0
    """metadata.generation whose values are in force in the running coordinator."""
    phase: Phase = Phase.PENDING
    conditions: Annotated[list[Condition], Field(max_length=16)] = []
    attempt: int = 1
    """Number of the coordinator's incarnation; fences checkpoint writers."""
    restarts: int = 0
    """Faults after which pods of coordinator or trainer were replaced, disruptions apart. One
    fault that ends several pods counts once."""
    restarts_counted: int = 0
    """Those of them that count against runPolicy.maxRestarts."""
    disruptions: int = 0
    """Times that something outside the job (eviction, preemption, a node, a deletion) took pods of
    any role. Never charged to runPolicy.maxRestarts."""
    pending_since: Timestamp | None = None
    """Since when pods that training needs have not been running."""
    suspending_since: Timestamp | None = None
    """When a suspension that still goes on began."""
    start_time: Timestamp | None = None
    completion_time: Timestamp | None = None
    roles: Roles = Roles()
    progress: Progress | None = None
    checkpoint: CheckpointStatus | None = None
    reference: ReferenceStatus | None = None
    export: ExportStatus | None = None
    guard: GuardStatus | None = None
