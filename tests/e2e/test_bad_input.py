"""What cannot work says so where the user looks: admission, condition, Event."""

import time
from typing import Any

import pytest
from cluster.job import Job

Manifest = dict[str, Any]


def test_admission_names_the_field_the_value_and_the_limit(job: Job, quickstart: Manifest) -> None:
    quickstart["spec"]["rollout"] |= {"replicas": 1, "minReplicas": 2}
    with pytest.raises(RuntimeError, match=r"2 is more than spec\.rollout\.replicas 1"):
        job.apply(quickstart)


def test_an_image_that_does_not_exist_is_named_in_condition_and_event(
    job: Job, quickstart: Manifest
) -> None:
    quickstart["spec"]["image"] = "prorl.test/no-such-image:1"
    job.apply(quickstart)

    def blocked() -> bool:
        return bool(job.condition("RolesReady").get("reason") == "ImagePullFailed")

    job.until("RolesReady=False, reason ImagePullFailed", blocked, 60)
    assert "prorl.test/no-such-image:1" in job.condition("RolesReady")["message"]
    assert job.status()["phase"] == "Pending"
    notes = dict(job.events())
    assert "prorl.test/no-such-image:1" in notes["ImagePullFailed"]


@pytest.mark.parametrize(
    ("part", "value", "reason", "words"),
    [
        ("data", "file:///no/such.jsonl", "Data", "/no/such.jsonl"),
        ("model", "file:///no/such/model", "Model", "/no/such/model"),
    ],
    ids=["dataset", "model"],
)
def test_a_missing_dataset_or_model_fails_the_job_with_its_path(
    job: Job, quickstart: Manifest, part: str, value: str, reason: str, words: str
) -> None:
    if part == "data":
        quickstart["spec"]["data"]["train"][0] |= {"uri": value, "domain": "math"}
    else:
        quickstart["spec"]["model"] = {"uri": value}
    job.apply(quickstart)
    assert job.until_ended(150) == "Failed", job.describe()
    failed = job.condition("Failed")
    assert failed["reason"] == reason
    assert words in failed["message"]
    assert words in dict(job.events())["Failed"]
    assert until_one_is_left(job) == "q-coordinator-0-1", "its log is kept"


def until_one_is_left(job: Job) -> str:
    """A failed job gives its resources back. Returns the name of the pod that stays."""
    deadline = time.monotonic() + 60
    while len(pods := job.pods()) > 1:
        assert time.monotonic() < deadline, job.describe()
        time.sleep(0.25)
    assert pods[0]["status"]["phase"] == "Failed"
    return str(pods[0]["metadata"]["name"])
