"""The operator on a real API server when pods end, or its objects cannot be made."""

import json

from controller_cluster import JOBS, Namespace, until
from operator_process import Operator
from played_job import FIRST, gone_or_leaving, start_all


def test_a_deleted_trainer_is_replaced_and_not_counted(
    operator: Operator, space: Namespace
) -> None:
    space.create_job()
    start_all(space)
    until("ready", lambda: space.condition("RolesReady").get("status") == "True")
    space.remove_pod("q-trainer-0-1")
    until("replacement", lambda: "q-trainer-0-2" in space.names("pods"))
    until("disruptions", lambda: space.status()["disruptions"] == 1)
    assert space.status()["restarts"] == 0
    assert space.condition("Disrupted")["reason"] in ("Deleted", "Gone")
    lost = 'prorl_operator_job_pods_disrupted_total{namespace="' + space.name
    until("the metric", lambda: operator.counted(lost) == 1)


def test_a_failed_coordinator_is_replaced_counted_and_fenced(
    operator: Operator, space: Namespace
) -> None:
    space.create_job()
    start_all(space)
    until("started", lambda: space.status().get("startTime"))
    space.end_pod("q-coordinator-0-1", 19)
    until("replacement", lambda: "q-coordinator-0-2" in space.names("pods"))
    until("attempt", lambda: space.status()["attempt"] == 2)
    assert space.status()["restartsCounted"] == 1
    assert space.status()["phase"] == "Recovering"
    pod = space.api.request("GET", f"{space.core}/pods/q-coordinator-0-2")
    env = {e["name"]: e.get("value") for e in pod["spec"]["containers"][0]["env"]}
    assert env["PRORL_ATTEMPT"] == "2"


def test_an_ended_job_is_deleted_when_its_time_is_over(
    operator: Operator, space: Namespace
) -> None:
    space.create_job(runPolicy={"ttlSecondsAfterFinished": 1})
    start_all(space)
    space.end_pod("q-coordinator-0-1", 0)
    until("the job is gone", lambda: space.api.get(f"{JOBS.format(space.name)}/q") is None)
    assert "q-checkpoints" in space.names("persistentvolumeclaims")


def test_a_config_error_fails_the_job_with_the_trainers_words(
    operator: Operator, space: Namespace
) -> None:
    space.create_job()
    start_all(space)
    word = {
        "outcome": "Failed",
        "exitCode": 11,
        "reason": "Data",
        "message": "Row 3 has no answer.",
    }
    space.end_pod("q-coordinator-0-1", 11, json.dumps(word))
    failed = until("Failed", lambda: space.condition("Failed"))
    assert (failed["status"], failed["reason"]) == ("True", "Data")
    assert "Row 3 has no answer." in failed["message"]
    assert space.status()["phase"] == "Failed"
    until("Event", lambda: "Failed" in space.event_reasons())
    assert "q-coordinator-0-1" in space.names("pods")
    others = FIRST - {"q-coordinator-0-1"}
    until("resources given back", lambda: all(gone_or_leaving(space, pod) for pod in others))


def test_an_image_that_does_not_exist_is_named(operator: Operator, space: Namespace) -> None:
    space.create_job(image="registry.invalid/no:1")
    until("all pods", lambda: space.names("pods") == FIRST)
    space.hold_pod("q-trainer-0-1", "ErrImagePull", "registry.invalid: no such host")
    ready = until(
        "reason",
        lambda: (c := space.condition("RolesReady")).get("reason") == "ImagePullFailed" and c,
    )
    assert 'cannot pull image "registry.invalid/no:1"' in ready["message"]
    assert "no such host" in ready["message"]
    until("Event", lambda: "ImagePullFailed" in space.event_reasons())


def test_a_foreign_object_is_left_untouched_and_named(operator: Operator, space: Namespace) -> None:
    foreign = {"metadata": {"name": "q-config"}, "data": {"mine": "yes"}}
    space.api.request("POST", f"{space.core}/configmaps", foreign)
    secret = {"metadata": {"name": "q-tokens"}, "stringData": {"mine": "yes"}}
    space.api.request("POST", f"{space.core}/secrets", secret)
    space.create_job()
    ready = until(
        "reason",
        lambda: (c := space.condition("RolesReady")).get("reason") == "NameConflict" and c,
    )
    assert "q-tokens" in ready["message"]
    config = space.api.request("GET", f"{space.core}/configmaps/q-config")
    assert config["data"] == {"mine": "yes"}
    assert set(space.api.request("GET", f"{space.core}/secrets/q-tokens")["data"]) == {"mine"}
