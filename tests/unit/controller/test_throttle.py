"""How soon a status may be written."""

from datetime import datetime
from typing import Any

import pytest
from controller_builders import NOW, ago, make_checkpoint, make_condition, make_status
from prorl_api.status import Phase, Progress, ReferenceStatus, Roles, RoleStatus
from prorl_operator.plan.throttle import LEAST_PAUSE_S, status_pause_s

STORED = make_status(conditions=[make_condition("Progressing", message="7 steps.")])
NEXT_STEP: dict[str, Any] = {
    "progress": Progress(step=8, total_steps=2000),
    "checkpoint": make_checkpoint(8),
    "conditions": [make_condition("Progressing", message="8 steps.")],
}
NEWS: dict[str, dict[str, Any]] = {
    "phase": {"phase": Phase.RECOVERING},
    "attempt": {"attempt": 2},
    "restarts": {"restarts": 1},
    "generation": {"observed_generation": 2},
    "roles": {"roles": Roles(trainer=RoleStatus(ready=1))},
    "reference": {"reference": ReferenceStatus(version=1)},
    "end": {"completion_time": "2026-01-01T00:00:00Z"},
    "condition": {"conditions": [make_condition("Progressing", status="False")]},
    "reason": {"conditions": [make_condition("Progressing", reason="Saving")]},
    "new condition": {"conditions": [make_condition("Progressing"), make_condition("Completed")]},
}


def pause_s(written_at: datetime | None, **changes: Any) -> float:
    return status_pause_s(STORED, STORED.model_copy(update=changes), written_at, NOW)


@pytest.mark.parametrize(
    ("since_s", "pause"), [(0.0, LEAST_PAUSE_S), (0.5, 1.5), (2.0, 0.0), (60.0, 0.0)]
)
def test_progress_alone_waits_until_the_pause_is_over(since_s: float, pause: float) -> None:
    assert pause_s(ago(since_s), **NEXT_STEP) == pause


@pytest.mark.parametrize("news", NEWS.values(), ids=NEWS.keys())
def test_news_are_written_at_once(news: dict[str, Any]) -> None:
    assert pause_s(ago(0), **(NEXT_STEP | news)) == 0.0


def test_a_first_status_is_written_at_once() -> None:
    assert status_pause_s(None, STORED, ago(0), NOW) == 0.0


def test_an_operator_that_has_just_started_does_not_wait() -> None:
    assert pause_s(None, **NEXT_STEP) == 0.0


def test_what_is_not_written_is_not_waited_for() -> None:
    assert pause_s(ago(0)) == 0.0
