"""The documents that the parts send each other, as pydantic models with camelCase keys.

Coordinator HTTP API, port runtime.COORDINATOR_PORT, `Authorization: Bearer TOKEN` for /v1:
  GET  /v1/status            -> StatusDocument
  POST /v1/commands          Command -> CommandResult (the same id again gives the same result)
  POST /v1/notices           Notice -> NoticeResult (the same pod again gives the current state)
  GET  /metrics /healthz /readyz
"""

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from prorl_api.base import ApiModel, Id
from prorl_api.commands import MAX_COMMANDS, CommandResult
from prorl_api.job import ProRLJobSpec
from prorl_api.spec_roles import Role
from prorl_api.status import (
    CheckpointStatus,
    ExportStatus,
    GuardStatus,
    Measured,
    Progress,
    ReferenceStatus,
)

MAX_STATUS_MESSAGE = 1024
MAX_TERMINATION_BYTES = 4096
"""What the kubelet keeps of a termination message: a longer JSON would be cut in the middle."""


class JobDocument(ApiModel):
    """The resolved job: what the operator puts into the ConfigMap and local mode writes to a file.
    Defaults are filled in; `hash` is canonical.sha256 of the spec's canonical JSON."""

    name: str
    namespace: str
    uid: str
    spec: ProRLJobSpec
    hash: str
    generation: int = 0
    """metadata.generation of the spec."""


class Stage(StrEnum):
    """What the coordinator is doing."""

    STARTING = "Starting"
    """Materialising the model, waiting for Ray nodes, loading engines."""
    TRAINING = "Training"
    RECOVERING = "Recovering"
    """Learner ranks or all engines are lost; waiting for their replacements."""
    PAUSED = "Paused"
    """A rule of spec.guard was broken; waiting for somebody to say Resume. The message has the
    number."""
    SAVING = "Saving"
    """Stopping: the last checkpoint is being written."""
    DONE = "Done"


class RoleCount(ApiModel):
    """Members of a role that the coordinator can use now."""

    wanted: int
    usable: int


class StatusDocument(ApiModel):
    """GET /v1/status."""

    job_uid: str
    attempt: int
    stage: Stage
    message: Annotated[str, StringConstraints(max_length=MAX_STATUS_MESSAGE)] = ""
    """One sentence for people, e.g. what is being waited for."""
    ray_session: str
    """Changes whenever the Ray head is a new one; agents rejoin then."""
    progress: Progress
    checkpoint: CheckpointStatus | None = None
    reference: ReferenceStatus = ReferenceStatus()
    guard: GuardStatus | None = None
    trainers: RoleCount
    engines: RoleCount
    learner_restarts: int = 0
    """Times the learner group was rebuilt from a checkpoint within this attempt."""
    spec_hash: str
    generation: int = 0
    """metadata.generation of the spec in force."""
    export: ExportStatus | None = None
    export_failure: Annotated[str, StringConstraints(max_length=MAX_STATUS_MESSAGE)] = ""
    """Why the run has no export although it asked for one."""
    commands: Annotated[list[CommandResult], Field(max_length=MAX_COMMANDS)] = []
    """What became of the last ones, oldest first."""


class Notice(ApiModel):
    """POST /v1/notices: an agent's pod has been told to go."""

    pod: str
    role: Role
    index: int
    deadline_seconds: Annotated[float, Field(ge=0)]
    """Seconds that are left until SIGKILL."""


class NoticeResult(ApiModel):
    """Whether the pod may go; agents repeat the notice until it may."""

    may_go: bool
    saved_step: int | None = None


class Outcome(StrEnum):
    """How a container of the trainer image ended."""

    SUCCEEDED = "Succeeded"
    STOPPED = "Stopped"
    FAILED = "Failed"


class TerminationMessage(ApiModel):
    """The final word, in the container's termination message."""

    outcome: Outcome
    exit_code: int
    reason: Annotated[str, StringConstraints(max_length=64)]
    """CamelCase: the name of the exit code or a finer one."""
    message: Annotated[str, StringConstraints(max_length=2048)] = ""
    step: int = 0
    checkpoint_step: int | None = None
    accuracy: Measured | None = None
    reward_mean: Measured | None = None
    export: ExportStatus | None = None
    export_failure: Annotated[str, StringConstraints(max_length=MAX_STATUS_MESSAGE)] = ""
    """As in StatusDocument."""

    def as_json(self) -> str:
        """In at most MAX_TERMINATION_BYTES of UTF-8, for which a long message is cut."""
        found = self
        while len(text := found.model_dump_json(by_alias=True).encode()) > MAX_TERMINATION_BYTES:
            shorter = found.message[: len(found.message) * 3 // 4]
            found = found.model_copy(update={"message": shorter})
        return text.decode()


class VerifyItem(ApiModel):
    """One completion to be judged."""

    id: Id
    verifier: str
    completion: str
    answer: Any
    meta: dict[str, Any] = {}


class VerifyRequest(ApiModel):
    """POST /v1/verify of the verification service."""

    items: list[VerifyItem]


class VerdictOutcome(StrEnum):
    """PASS and FAIL carry a score; an infra-error is never a reward."""

    PASS = "pass"
    FAIL = "fail"
    INFRA_ERROR = "infra-error"


class VerdictDocument(ApiModel):
    """The judgement of one completion."""

    id: Id
    outcome: VerdictOutcome
    score: Annotated[float, Field(ge=0, le=1)] | None
    reason: str = ""
    seconds: float = 0.0


class VerifyResponse(ApiModel):
    """Answer of POST /v1/verify: one verdict per item, in order."""

    version: str
    dataset_hash: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    """Of what verdicts depend on beyond the items (docs/verifiers.md): two verifiers of a job with
    different ones may judge differently."""
    verdicts: list[VerdictDocument]


class MetricsRecord(ApiModel):
    """One line of metrics.jsonl: a finished step. Keys of `values` are the metric names of
    docs/metrics.md without the `prorl_` prefix."""

    kind: Literal["step", "validation", "reset", "guard", "checkpoint", "start", "end"]
    step: int
    attempt: int
    time: float
    """Unix time in seconds."""
    values: dict[str, float | int | str | None]
