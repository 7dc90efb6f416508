"""What cannot work says so where the user looks: admission, condition, Event."""

import copy
import json
import time
from dataclasses import replace
from typing import Any

import pytest
from cluster import images
from cluster.job import Job
from cluster.plain_pod import plain_pod

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


def test_a_pod_in_the_way_is_left_alone_and_named(job: Job, quickstart: Manifest) -> None:
    pod = plain_pod("q-rollout-0-1", images.PAUSE)
    job.kubectl("apply", "-f", "-", text=json.dumps(pod))
    job.apply(quickstart)

    def named() -> bool:
        return bool(job.condition("RolesReady").get("reason") == "NameConflict")

    job.until("RolesReady=False, reason NameConflict", named, 60)
    assert "Pod q-rollout-0-1 exists" in job.condition("RolesReady")["message"]


def test_a_missing_dataset_or_model_fails_the_job_with_its_path(
    job: Job, quickstart: Manifest
) -> None:
    no_data, no_model = copy.deepcopy(quickstart), copy.deepcopy(quickstart)
    no_data["spec"]["data"]["train"][0] |= {"uri": "file:///no/such.jsonl", "domain": "math"}
    no_model["spec"]["model"] = {"uri": "file:///no/such/model"}
    other = replace(job, name="r")
    job.apply(no_data)
    other.apply(no_model)
    check_failed(job, "Data", "/no/such.jsonl")
    check_failed(other, "Model", "/no/such/model")
    goes_after_its_time(other)


def goes_after_its_time(job: Job) -> None:
    job.patch(runPolicy={"ttlSecondsAfterFinished": 0})

    def gone() -> bool:
        return job.product.find("prorljob", job.name, job.namespace) is None

    job.until("the failed job is deleted", gone, 60)


def check_failed(job: Job, reason: str, words: str) -> None:
    assert job.until_ended(150) == "Failed", job.describe()
    failed = job.condition("Failed")
    assert failed["reason"] == reason
    assert words in failed["message"]
    assert words in dict(job.events())["Failed"]
    assert until_one_is_left(job) == f"{job.name}-coordinator-0-1", "its log is kept"


def until_one_is_left(job: Job) -> str:
    """A failed job gives its resources back. Returns the name of the pod that stays."""
    deadline = time.monotonic() + 60
    while len(pods := job.pods()) > 1:
        assert time.monotonic() < deadline, job.describe()
        time.sleep(0.25)
    assert pods[0]["status"]["phase"] == "Failed"
    return str(pods[0]["metadata"]["name"])
