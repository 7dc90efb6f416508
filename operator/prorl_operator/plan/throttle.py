"""Progress alone is written every other second at most; everything else at once."""

from datetime import datetime

from prorl_api.status import ProRLJobStatus

LEAST_PAUSE_S = 2.0


def status_pause_s(
    stored: ProRLJobStatus | None,
    wanted: ProRLJobStatus,
    written_at: datetime | None,
    now: datetime,
) -> float:
    """Seconds to wait before `wanted` may be written; 0: now."""
    if stored is None or written_at is None or _essence(stored) != _essence(wanted):
        return 0.0
    if stored == wanted:
        return 0.0
    left_s = LEAST_PAUSE_S - (now - written_at).total_seconds()
    return min(LEAST_PAUSE_S, max(0.0, left_s))  # the clock may have gone back


def _essence(status: ProRLJobStatus) -> ProRLJobStatus:
    """Without the numbers that every step changes."""
    conditions = [c.model_copy(update={"message": ""}) for c in status.conditions]
    update = {
        "progress": None,
        "checkpoint": None,
        "conditions": conditions,
    }
    return status.model_copy(update=update)
