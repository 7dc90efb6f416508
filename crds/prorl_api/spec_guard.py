"""Health rules that are acted on: spec.guard. Signals that only inform: docs/health.md."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from prorl_api.base import ApiModel


class GuardAction(StrEnum):
    """What follows when a rule is broken."""

    PAUSE = "Pause"
    ROLLBACK = "Rollback"
    FAIL = "Fail"


class GuardSpec(ApiModel):
    """Rules over what each step measures. An absent one is off. May be changed at any time:
    the next step obeys, and a paused run goes on."""

    non_finite: Annotated[int, Field(ge=1, le=100)] = 3
    """Steps in a row whose loss or gradient was not finite. Such an update is never made; the step
    is counted as finished and its prompts as used."""
    kl_above: Annotated[float, Field(gt=0, le=1000)] | None = None
    """KL to the reference (k2, nats per token) above this."""
    entropy_below: Annotated[float, Field(gt=0, le=100)] | None = None
    """Estimated entropy of the policy (nats per token) below this."""
    truncation_above: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Share of completions that reached maxResponseTokens above this."""
    consecutive: Annotated[int, Field(ge=1, le=1000)] = 5
    """Steps in a row for which one of the last three must be broken."""
    action: GuardAction = GuardAction.ROLLBACK
    """Rollback: go back to the last checkpoint from before the signal was out of bounds, and go on
    with other prompts. Pause: save, then wait for the command Resume or a changed guard. Fail: end
    with exit code Guard (NonFinite for nonFinite)."""
    max_rollbacks: Annotated[int, Field(ge=1, le=100)] = 3
    """Rollbacks of one run; the next one fails instead."""
