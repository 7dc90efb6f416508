"""When the reference is replaced: a pure rule over finished steps. More triggers belong here."""

INTERVAL = "Interval"
"""Reason of a reset that was due by referenceReset.everySteps."""


def reset_reason(*, step: int, total_steps: int, every_steps: int) -> str | None:
    """Reason to reset after `step` finished steps, or None. Never after the last step: nobody would
    train against the new reference."""
    due = every_steps > 0 and step > 0 and step % every_steps == 0 and step < total_steps
    return INTERVAL if due else None


def next_reset_step(*, step: int, total_steps: int, every_steps: int) -> int | None:
    """The next step after which a reset is due, or None."""
    if every_steps <= 0:
        return None
    upcoming = (step // every_steps + 1) * every_steps
    return upcoming if upcoming < total_steps else None
