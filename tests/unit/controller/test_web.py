"""Readiness of an instance: it works, or it can take over."""

import pytest
from prorl_operator.web import Health


@pytest.mark.parametrize(
    ("health", "missing"),
    [
        (Health(), "the Lease is not taken yet"),
        (Health(leading=True), "the watched objects are not listed yet"),
        (Health(leading=True, filled=True), ""),
        (Health(standing_by=True), ""),
    ],
)
def test_ready_is_who_works_or_stands_by(health: Health, missing: str) -> None:
    assert health.missing == missing
