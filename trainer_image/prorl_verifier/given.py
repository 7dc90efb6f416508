"""What a custom verifier has given, installed or remote: a score and a reason, or what is wrong."""

from numbers import Real
from typing import Any

MAX_REASON_CHARACTERS = 500


def checked(score: Any, reason: Any) -> tuple[float, str]:
    """Raises ValueError naming field, value and limit."""
    is_number = isinstance(score, Real) and not isinstance(score, bool)
    if not is_number:
        raise ValueError(f"score {short(score)}, must be a number")
    if not 0 <= score <= 1:  # NaN is neither
        raise ValueError(f"score {short(score)}, must be from 0 to 1")
    if not isinstance(reason, str):
        raise ValueError(f"reason {short(reason)}, must be a text")
    return float(score), reason[:MAX_REASON_CHARACTERS]


def short(value: Any) -> str:
    """For messages."""
    return repr(value)[:60]
