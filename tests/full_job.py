"""A job that makes use of everything that a job may choose about its pods."""

from typing import Any

from controller_builders import LEAST_DATA, make_job
from prorl_api.job import ProRLJob

CHOICES: dict[str, Any] = {
    "resources": {"cpu": "3", "memory": "7Gi"},
    "nodeSelector": {"zone": "a"},
    "tolerations": [
        {"key": "gpu", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 0},
        {"key": "spot", "value": "yes"},
    ],
}


def make_full_job() -> ProRLJob:
    """A job that makes use of everything that a job may choose about its pods."""
    other = {**LEAST_DATA, "name": "b", "domain": "math", "uri": "pvc://rows/a.jsonl"}
    return make_job(
        image="mine:2",
        model={"uri": "pvc://weights/llama"},
        data={"train": [LEAST_DATA, other]},
        coordinator={"pod": CHOICES},
        trainer={"gpusPerReplica": 2, "pod": CHOICES},
        rollout={"gpusPerReplica": 1, "pod": CHOICES},
        verifier={"pod": CHOICES, "timeoutSeconds": 33},
    )
