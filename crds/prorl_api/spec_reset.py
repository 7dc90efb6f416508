"""When the frozen reference is replaced, by what: spec.referenceReset. Sources: docs/recipe.md."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from prorl_api.base import ApiModel, RequestToken


class NewReference(StrEnum):
    """Which policy becomes the reference."""

    CURRENT = "Current"
    BEST = "Best"


class ResetOptimizer(StrEnum):
    """What becomes of the optimizer's state at a reset."""

    KEEP = "Keep"
    CLEAR = "Clear"


class KlSpikeSpec(ApiModel):
    """Reset when the KL to the reference (k2, mean per token) jumps."""

    enabled: bool = True
    """Off: KL never causes a reset."""
    factor: Annotated[float, Field(gt=1, le=1000)] = 3.0
    """A spike is more than this many times the median of the window before it."""
    window: Annotated[int, Field(ge=5, le=500)] = 50
    """RL steps whose median is compared with; the factor waits until the window is full, and the
    window starts anew at a reset."""
    consecutive: Annotated[int, Field(ge=1, le=100)] = 5
    """RL steps in a row that must be over the limit."""
    absolute: Annotated[float, Field(gt=0, le=1000)] | None = None
    """A KL in nats per token over which a step counts as a spike whatever the median is."""


class StallSpec(ApiModel):
    """Reset when held-out accuracy has stopped to rise. Without data.validation there is none."""

    enabled: bool = True
    """Off: accuracy never causes a reset."""
    evals: Annotated[int, Field(ge=1, le=100)] = 5
    """Evaluations without a gain that make a stall; counted anew from each reset."""
    min_delta: Annotated[float, Field(ge=0, le=1)] = 0.002
    """Accuracy that the best of them must be above the best before them to be a gain."""


class ReferenceResetSpec(ApiModel):
    """When the frozen reference policy is replaced, and by what. A reset never changes the policy
    that is trained, nor the learning-rate schedule."""

    every_steps: Annotated[int, Field(ge=0, le=100_000)] = 400
    """RL steps after which a reset is due, counted from the last one of any reason; 0 means never
    for this reason."""
    min_gap_steps: Annotated[int, Field(ge=0, le=100_000)] = 200
    """RL steps since the last reset (or the start) before klSpike or stall may cause one; it does
    not hold back everySteps."""
    kl_spike: KlSpikeSpec = KlSpikeSpec()
    stall: StallSpec = StallSpec()
    new_reference: NewReference = NewReference.CURRENT
    """Current: the policy as it is. Best: the policy of the checkpoint with the best held-out
    accuracy so far; the policy that is trained stays as it is."""
    optimizer: ResetOptimizer = ResetOptimizer.KEEP
    """Clear: both moments of Adam and its step counter are zeroed, then the learning rate is warmed
    up again over rewarmSteps."""
    rewarm_steps: Annotated[int, Field(ge=0, le=100_000)] = 10
    """RL steps of linear warm-up after a reset with optimizer Clear."""
    request_token: RequestToken | None = None
    """Change it to have the reference reset after the step in progress, once, whatever the rules
    say (`prorl reset-reference NAME`)."""
