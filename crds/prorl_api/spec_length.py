"""Length terms of the reward: spec.algorithm.lengthPenalty. Symbols: docs/recipe."""

from typing import Annotated

from pydantic import Field

from prorl_api.base import ApiModel


class CosineSpec(ApiModel):
    """A length term that is on and off by turns: weight times a half cosine that falls from etaMax
    at length 0 to etaMin at maxResponseTokens. It is added to a math-verify score; a reasoning-gym
    score, which may be partial, is multiplied by 1 + that, so that 0 stays 0."""

    eta_min: Annotated[float, Field(ge=-1, le=1)] = -1.0
    """Value at maxResponseTokens."""
    eta_max: Annotated[float, Field(ge=-1, le=1)] = 0.0
    """Value at length 0."""
    weight: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Factor of the term."""
    on_steps: Annotated[int, Field(ge=1, le=1_000_000)] = 100
    """RL steps of each turn with the term."""
    off_steps: Annotated[int, Field(ge=0, le=1_000_000)] = 500
    """RL steps of each turn without it."""
    offset: Annotated[int, Field(ge=0, le=1_000_000)] = 500
    """Finished RL steps before the first turn."""


class StopProperlySpec(ApiModel):
    """A response cut off at maxResponseTokens earns less."""

    coefficient: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Factor of the reward of a truncated response, whose reward is never negative before it; 1
    switches the term off."""


class OverlongSpec(ApiModel):
    """A penalty that grows linearly over the last tokens before maxResponseTokens (DAPO)."""

    buffer_tokens: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """Tokens before maxResponseTokens over which the penalty grows from 0; absent means a fifth of
    maxResponseTokens, as DAPO's 4096 of 20480."""
    factor: Annotated[float, Field(ge=0, le=10)] = 1.0
    """Penalty at maxResponseTokens, and the most there is; 0 switches the term off."""

    def buffer_of(self, max_response_tokens: int) -> int:
        """bufferTokens in force; at least 1."""
        return self.buffer_tokens or max(1, max_response_tokens // 5)


class LengthPenaltySpec(ApiModel):
    """Terms that shape rewards after dynamic sampling, in this order. Which are on is the preset's
    business; cosine is off unless it is there."""

    stop_properly: StopProperlySpec = StopProperlySpec()
    cosine: CosineSpec | None = None
    overlong: OverlongSpec | None = None
