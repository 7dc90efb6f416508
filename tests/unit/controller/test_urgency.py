"""Which events a pass must look at at once, and which may wait for those that follow."""

from typing import Any

import pytest
from prorl_operator.kube.urgency import GATHER_S, job_pause_s, pod_pause_s

MARKED = {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"}


def job(status: dict[str, Any] | None = None, **meta: Any) -> dict[str, Any]:
    return {"metadata": {"generation": 2, **meta}, "status": status}


def pod(status: dict[str, Any] | None = None, **meta: Any) -> dict[str, Any]:
    return {"metadata": meta, "status": status}


@pytest.mark.parametrize(
    "body",
    [job(), job({}), job({"observedGeneration": 1}),
     job({"observedGeneration": 2}, deletionTimestamp="2026-01-01T12:00:00Z")],
    ids=["new", "empty status", "changed spec", "goes"],
)  # fmt: skip
def test_a_new_a_changed_and_a_going_job_wait_for_nothing(body: dict[str, Any]) -> None:
    assert job_pause_s(body) == 0


def test_a_job_whose_status_was_written_waits() -> None:
    assert job_pause_s(job({"observedGeneration": 2})) == GATHER_S


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("MODIFIED", pod({"phase": "Running"}, deletionTimestamp="2026-01-01T12:00:00Z")),
        ("MODIFIED", pod({"phase": "Failed"})),
        ("MODIFIED", pod({"phase": "Succeeded"})),
        (None, pod({"phase": "Failed"})),
        ("DELETED", pod({"phase": "Running"})),
    ],
)
def test_a_pod_that_goes_or_has_gone_waits_for_nothing(kind: str, body: dict[str, Any]) -> None:
    assert pod_pause_s(kind, body) == 0


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("ADDED", pod()),
        ("MODIFIED", pod({"phase": "Running"})),
        ("MODIFIED", pod({"phase": "Running", "conditions": [MARKED]})),
    ],
    ids=["new", "running", "only marked"],
)
def test_a_pod_that_stays_waits(kind: str, body: dict[str, Any]) -> None:
    assert pod_pause_s(kind, body) == GATHER_S
