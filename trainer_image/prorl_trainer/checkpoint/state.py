"""Everything of a run but the tensors: strict JSON inside each checkpoint."""

from prorl_api.base import ApiModel
from prorl_api.spec_guard import GuardSpec
from prorl_api.status import GuardStatus
from pydantic import Field

from prorl_trainer.algo.health import History
from prorl_trainer.types import CarriedGroup

LOG_ENTRIES = 500
"""Resets that the log remembers, the newest ones."""


class ResetEntry(ApiModel):
    """One reset of the reference."""

    step: int
    reason: str
    values: dict[str, float] = {}
    """The numbers that mattered."""
    ref_version: int = 0
    """Version of the reference that it made."""
    source_step: int | None = None
    """The policy after this many steps became the reference."""
    requests: list[str] = []
    """IDs of the commands that it has done."""


class ReferenceState(ApiModel):
    """The frozen reference: how often and when it was replaced."""

    version: int = 0
    last_reset_step: int | None = None
    last_reason: str | None = None
    cleared_step: int | None = None
    """The last reset that cleared the optimizer."""
    log: list[ResetEntry] = []

    @property
    def done_requests(self) -> dict[str, ResetEntry]:
        """Command ID -> the reset that was its answer."""
        return {request: entry for entry in self.log for request in entry.requests}


class GuardState(ApiModel):
    """What spec.guard has seen and done."""

    counts: dict[str, int] = {}
    """Rule -> steps in a row that it has been broken."""
    since: int | None = None
    """The first policy, by its finished steps, that was out of bounds; None while none is."""
    rollbacks: int = 0
    paused_by: GuardSpec | None = None
    """spec.guard as it was when it made the run wait."""
    last: GuardStatus | None = None


class RunState(ApiModel):
    """The run after `step` finished steps."""

    job_uid: str
    job_name: str
    spec_hash: str
    """canonical.spec_hash: a checkpoint of another spec is refused."""
    data_fingerprints: dict[str, str] = {}
    """PromptSource.fingerprints: so is one of other data."""
    step: int = Field(default=0, ge=0)
    next_ordinal: int = Field(default=0, ge=0)
    """The first prompt that has not been drawn for a finished step."""
    returned: list[int] = []
    """Earlier prompts that were drawn and not used: they are drawn again."""
    carried: tuple[CarriedGroup, ...] = Field(default=(), exclude=True)
    """Earlier prompts whose groups wait for the next step; a file of its own beside this one."""
    tokens: int = Field(default=0, ge=0)
    """Response tokens generated in finished steps."""
    reference: ReferenceState = ReferenceState()
    guard: GuardState = GuardState()
    health: History = History()
    kl_history: list[float] = []
    """k2 per step since the last reset, as long as the rule for spikes looks back."""
    accuracies: list[float] = []
    """Held-out accuracies since the last reset, as many as the rule for stalls needs."""
    best_accuracy: float | None = None
    best_steps: list[int] = []
    """Steps that were the best when evaluated, newest last; their checkpoints are kept."""
    accuracy: float | None = None
    evals_without_gain: int = 0
    """Evaluations since the best one."""
    evaluations: list[dict[str, float]] = []
    """pass@k by metric name of the last evaluations, oldest first."""
    reward_mean: float | None = None
    library_versions: dict[str, str] = {}
