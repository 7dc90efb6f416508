"""Which groups carry a signal, and what to do when too few do (DAPO; ProRL v2)."""

import math
import statistics
from collections.abc import Sequence
from enum import StrEnum

MIN_STD = 1e-6
MIN_FILL = 0.5
"""Share of the wanted groups below which a step is not worth an update."""


def has_signal(scores: Sequence[float]) -> bool:
    """True if raw scores differ within the group (shaped rewards always do: do not pass them)."""
    return len(scores) > 1 and statistics.pstdev(scores) > MIN_STD


class Refill(StrEnum):
    """What follows a generation round."""

    ENOUGH = "enough"
    DRAW = "draw"
    """Draw another round of num_to_draw prompts."""
    TRAIN_SMALLER = "train-smaller"
    """No round is left, but at least MIN_FILL of the batch is there."""
    NO_SIGNAL = "no-signal"


def plan_refill(*, num_kept: int, num_wanted: int, rounds_done: int, max_rounds: int) -> Refill:
    """Decides before and after each round."""
    if num_kept >= num_wanted:
        return Refill.ENOUGH
    if rounds_done < max_rounds:
        return Refill.DRAW
    return Refill.TRAIN_SMALLER if num_kept >= MIN_FILL * num_wanted else Refill.NO_SIGNAL


def num_to_draw(*, num_missing: int, oversample: float) -> int:
    """Prompts of a round: oversample per missing group, rounded up."""
    return math.ceil(oversample * num_missing)
