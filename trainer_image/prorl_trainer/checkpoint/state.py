"""Everything of a run but the tensors: strict JSON inside each checkpoint."""

from prorl_api.base import ApiModel
from pydantic import Field


class ReferenceState(ApiModel):
    """The frozen reference: how often and when it was replaced."""

    version: int = 0
    last_reset_step: int | None = None
    last_reason: str | None = None
    log: list[tuple[int, str]] = []
    """(step, reason) of every reset."""


class RunState(ApiModel):
    """The run after `step` finished steps."""

    job_uid: str
    job_name: str
    spec_hash: str
    """canonical.spec_hash: a checkpoint of another spec is refused."""
    data_fingerprint: str
    """PromptSource.fingerprint: so is one of other data."""
    step: int = Field(default=0, ge=0)
    next_ordinal: int = Field(default=0, ge=0)
    """The oldest prompt that no finished step has used up."""
    tokens: int = Field(default=0, ge=0)
    """Response tokens generated in finished steps."""
    reference: ReferenceState = ReferenceState()
    best_accuracy: float | None = None
    accuracy: float | None = None
    reward_mean: float | None = None
    library_versions: dict[str, str] = {}
