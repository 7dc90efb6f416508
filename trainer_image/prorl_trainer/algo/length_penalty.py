"""Length terms that shape a raw reward. Numbers only; sources: docs/recipe.md.

Applied after dynamic sampling, which must see raw rewards: a length term makes the rewards of every
group differ. `num_tokens` is the length of a response, `max_tokens` its cap.
"""

import math


def cosine_eta(*, num_tokens: int, max_tokens: int, eta_min: float, eta_max: float) -> float:
    """eta_max for an empty response, falling as a half cosine to eta_min at the cap (ProRL v2)."""
    share = min(num_tokens, max_tokens) / max_tokens
    return eta_min + 0.5 * (eta_max - eta_min) * (1.0 + math.cos(math.pi * share))


def cosine_active(*, step: int, on_steps: int, off_steps: int, offset: int) -> bool:
    """True for on_steps of every on_steps + off_steps, first at `offset`. A pure function of the
    number of finished steps: a resumed run is in the same phase."""
    return step >= offset and (step - offset) % (on_steps + off_steps) < on_steps


def stop_properly(reward: float, *, truncated: bool, coefficient: float) -> float:
    """coefficient · reward for a truncated response (DLER; ProRL v1). Raises ValueError for a
    negative reward, which a factor below 1 would raise."""
    if reward < 0:
        raise ValueError(f"reward is {reward}, must not be negative: scaling would raise it")
    return coefficient * reward if truncated else reward


def overlong_penalty(
    *, num_tokens: int, max_tokens: int, buffer_tokens: int, factor: float
) -> float:
    """0 up to max - buffer, then falling linearly to -factor at max; never below (DAPO)."""
    over = num_tokens - (max_tokens - buffer_tokens)
    return -factor * min(1.0, max(0.0, over / buffer_tokens))
