"""How long an event of the watch may wait for others of the same job before a pass looks at it."""

from collections.abc import Mapping
from typing import Any

GATHER_S = 0.3
"""What an eviction, a creation or a written status brings comes as several events: one pass is
enough for them, and it must not stand in the way of other jobs' replacements."""


def job_pause_s(job: Mapping[str, Any]) -> float:
    """0 for a job that is to go, or whose spec status does not answer yet; what is left is our own
    status, or metadata that decides nothing."""
    meta, status = job["metadata"], job.get("status") or {}
    answered = status.get("observedGeneration") == meta.get("generation")
    return GATHER_S if answered and "deletionTimestamp" not in meta else 0.0


def pod_pause_s(kind: str | None, pod: Mapping[str, Any]) -> float:
    """0 for a pod that goes, has ended or has gone: it is to be replaced. One that an eviction has
    only marked goes with the next event. `kind`: of the event."""
    ended = (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")
    going = kind == "DELETED" or "deletionTimestamp" in pod["metadata"]
    return 0.0 if ended or going else GATHER_S
