"""Ages and curves of `prorl status`."""

from datetime import UTC, datetime

import pytest
from prorl_cli.cluster.screen import age_text, history

NOW = datetime(2026, 1, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("2026-01-09T23:59:58Z", "2s"),
        ("2026-01-09T23:58:00Z", "2m"),
        ("2026-01-09T23:58:01Z", "119s"),
        ("2026-01-09T20:00:00Z", "4h"),
        ("2026-01-01T00:00:00Z", "9d"),
        ("2026-01-10T00:00:05Z", "0s"),
        (None, "-"),
    ],
)
def test_ages_are_kubectls(moment: str | None, expected: str) -> None:
    assert age_text(moment, NOW) == expected


def test_curves_are_of_the_steps_that_the_coordinator_has_logged() -> None:
    lines = [
        "2026-01-01 INFO prorl_trainer.recorder step=1 done reward_mean=0.25 kl=1e-05",
        "2026-01-01 INFO prorl_trainer.recorder step=1 accuracy=0.500",
        "step=2 reference reset reference_version=1",
        "step=2 done reward_mean=0.5 kl=nan",
        "",
    ]
    found = history(lines)
    assert found["reward_mean"] == [0.25, 0.5]
    assert found["kl"] == [1e-05], "nan has no place in a curve"
    assert "accuracy" not in found


def test_a_line_that_only_looks_like_a_step_breaks_no_screen() -> None:
    assert history(["step=3 done reward_mean=much kl=1-e5.5"]) == {}
