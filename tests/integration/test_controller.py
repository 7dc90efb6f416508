"""The operator against a real API server, with the rights of its chart and no more."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from cluster.control_plane import ControlPlane
from controller_builders import LEAST_DATA
from controller_cluster import (
    JOBS,
    SYSTEM,
    Api,
    Namespace,
    Operator,
    chart_manifests,
    running_operator,
    service_account_kubeconfig,
    until,
)
from serving import Quiet, serving

COORDINATOR_IP = "127.0.0.9"
"""Pods of the other tests are said to be at 127.0.0.1."""
FIRST = {"q-coordinator-0-1", "q-trainer-0-1", "q-rollout-0-1", "q-verifier-0-1"}


@pytest.fixture(scope="module")
def api(control_plane: ControlPlane) -> Api:
    """With the chart's RBAC applied."""
    one = Api(plane=control_plane)
    one.apply(
        yaml.safe_dump({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM}})
    )
    kinds = ("ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding")
    wanted = [m for m in chart_manifests(control_plane) if m["kind"] in kinds]
    one.apply(yaml.safe_dump_all(wanted))
    return one


@pytest.fixture
def kubeconfig(api: Api, tmp_path: Path) -> Path:
    """Of the operator's ServiceAccount."""
    return service_account_kubeconfig(api.plane, "prorl-operator", tmp_path / "kubeconfig")


@pytest.fixture
def operator(kubeconfig: Path) -> Iterator[Operator]:
    """Ready."""
    with running_operator(kubeconfig, "--no-leader-election", "--resync-seconds=2") as one:
        until("the operator is ready", lambda: one.get("/readyz")[0] == 200)
        yield one


@pytest.fixture
def space(api: Api, request: pytest.FixtureRequest) -> Namespace:
    """Pod Security restricted."""
    return make_namespace(api, request.node.name)


def make_namespace(api: Api, test: str) -> Namespace:
    name = "".join(c if c.isalnum() else "-" for c in test.lower())[-40:].strip("-")
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    api.request("POST", "/api/v1/namespaces", {"metadata": {"name": name, "labels": labels}})
    account = f"/api/v1/namespaces/{name}/serviceaccounts/default"
    until("the default service account", lambda: api.get(account))
    return Namespace(api=api, name=name)


class Coordinator:
    """Answers GET /v1/status with a document that the test changes, and hears commands."""

    def __init__(self, uid: str) -> None:
        self.tokens: set[str] = set()
        self.looks = 0
        self.commands: list[str] = []
        self.document: dict[str, Any] = {
            "jobUid": uid,
            "attempt": 1,
            "stage": "Starting",
            "raySession": "s",
            "progress": {"step": 0, "totalSteps": 50},
            "trainers": {"wanted": 1, "usable": 0},
            "engines": {"wanted": 1, "usable": 0},
            "specHash": "h",
            "generation": 1,
        }

    def hear(self, command: dict[str, Any]) -> None:
        """A changed spec is in force at once; of anything else the test sees the id, every time."""
        if command["kind"] == "Configure":
            self.document["generation"] = command["live"]["generation"]
        else:
            self.commands.append(f"{command['kind']} {command['id']}")

    def asked_for(self) -> set[str]:
        """What was heard more than once is one command: it is carried out once."""
        return set(self.commands)

    def hears_no_more(self) -> bool:
        """Nothing is asked for during a few more looks."""
        self.commands, seen = [], self.looks
        until("a few looks", lambda: self.looks >= seen + 3)
        return not self.commands


@contextmanager
def played(coordinator: Coordinator) -> Iterator[int]:
    class Handler(Quiet):
        def do_GET(self) -> None:
            coordinator.looks += 1
            coordinator.tokens.add(self.headers.get("Authorization", ""))
            self.send_document(coordinator.document)

        def do_POST(self) -> None:
            text = self.rfile.read(int(self.headers["Content-Length"]))
            coordinator.hear(json.loads(text))
            self.send_response(200)
            self.end_headers()

    with serving(Handler, COORDINATOR_IP) as port:
        yield port


def start_all(space: Namespace, *, ip: str = "127.0.0.1") -> None:
    until("all pods", lambda: space.names("pods") >= FIRST)
    for pod in FIRST:
        space.run_pod(pod, ip=ip)


def test_creates_every_object_in_a_restricted_namespace(
    operator: Operator, space: Namespace
) -> None:
    space.create_job()
    until("all pods", lambda: space.names("pods") == FIRST)
    assert {"q", "q-verifier"} <= space.names("services")
    assert "q-config" in space.names("configmaps")
    assert "q-tokens" in space.names("secrets")
    assert "q-checkpoints" in space.names("persistentvolumeclaims")
    until("Pending", lambda: space.status().get("phase") == "Pending")


def test_the_secret_of_the_data_is_read_by_the_coordinators_kubelet_alone(
    operator: Operator, space: Namespace
) -> None:
    """There is no such Secret: the operator, which may read none, makes the pods all the same."""
    space.create_job(data={"train": [LEAST_DATA], "credentialsSecret": "keys"})
    until("all pods", lambda: space.names("pods") == FIRST)
    for pod in FIRST:
        document = json.dumps(space.api.request("GET", f"{space.core}/pods/{pod}"))
        assert ('"secretKeyRef"' in document) == ("coordinator" in pod)


def test_costs_no_write_once_converged(operator: Operator, space: Namespace) -> None:
    space.create_job()
    start_all(space)
    until("RolesReady", lambda: space.condition("RolesReady").get("status") == "True")
    until("no expectation left", lambda: passes(operator) > 0)
    quiet_from(operator)
    before, seen = operator.requests(), passes(operator)
    until("two resyncs", lambda: passes(operator) >= seen + 2)
    assert operator.requests() == before


def passes(operator: Operator) -> float:
    return operator.counted("prorl_operator_reconcile_total")


def quiet_from(operator: Operator) -> None:
    """Until a whole pass has made no request."""

    def quiet() -> bool:
        requests, seen = operator.requests(), passes(operator)
        until("another pass", lambda: passes(operator) > seen)
        return operator.requests() == requests

    until("a pass without requests", quiet)


def test_repairs_drift_and_lost_objects(operator: Operator, space: Namespace) -> None:
    space.create_job()
    until("all pods", lambda: space.names("pods") == FIRST)
    config = f"{space.core}/configmaps/q-config"
    good = space.api.request("GET", config)["data"]["job.json"]
    space.api.merge(config, {"data": {"job.json": "{}"}})
    until("config repaired", lambda: space.api.request("GET", config)["data"]["job.json"] == good)
    space.api.request("DELETE", f"{space.core}/services/q-verifier")
    until("service back", lambda: "q-verifier" in space.names("services"))


def test_deletion_leaves_nothing_but_the_checkpoints(operator: Operator, space: Namespace) -> None:
    space.create_job()
    start_all(space)
    space.api.request("DELETE", f"{JOBS.format(space.name)}/q")
    for pod in FIRST:
        # There is no kubelet that would confirm the end.
        until("marked", lambda pod=pod: gone_or_leaving(space, pod))
        if pod in space.names("pods"):
            space.remove_pod(pod)
    until("pods gone", lambda: not space.names("pods"))
    until("services gone", lambda: not space.names("services"))
    until("secret gone", lambda: not space.names("secrets"))
    until("config gone", lambda: "q-config" not in space.names("configmaps"))
    assert space.names("persistentvolumeclaims") == {"q-checkpoints"}
    until("series gone", lambda: f'namespace="{space.name}"' not in operator.get("/metrics")[1])


def gone_or_leaving(space: Namespace, pod: str) -> bool:
    found = space.api.get(f"{space.core}/pods/{pod}")
    return found is None or "deletionTimestamp" in found["metadata"]


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


def test_follows_the_coordinator_from_start_to_success(kubeconfig: Path, space: Namespace) -> None:
    uid = space.create_job()["metadata"]["uid"]
    coordinator = Coordinator(uid)
    flags = ("--no-leader-election", "--coordinator-port={}")
    with played(coordinator) as port:
        with running_operator(kubeconfig, flags[0], flags[1].format(port)):
            start_all(space, ip=COORDINATOR_IP)
            until("Starting", lambda: space.status().get("phase") == "Starting")
            coordinator.document |= {
                "stage": "Training",
                "progress": {"step": 7, "totalSteps": 50, "rewardMean": 0.5},
                "checkpoint": {
                    "lastStep": 5,
                    "lastTime": "2026-01-01T00:00:00Z",
                    "uri": "pvc://q-checkpoints/q/checkpoints",
                    "sizeBytes": 9,
                },
                "reference": {"version": 1, "lastResetStep": 5, "lastReason": "Schedule"},
            }
            until("Running", lambda: space.status().get("phase") == "Running")
            assert space.status()["progress"]["step"] == 7
            assert space.condition("Checkpointed")["status"] == "True"
            until("events", lambda: {"Running", "ReferenceReset"} <= space.event_reasons())
        coordinator.document["progress"] = {"step": 0, "totalSteps": 50}
        coordinator.document["stage"] = "Starting"
        with running_operator(kubeconfig, flags[0], flags[1].format(port)) as operator:
            until("ready", lambda: operator.get("/readyz")[0] == 200)
            word = {"outcome": "Succeeded", "exitCode": 0, "reason": "Succeeded", "step": 50}
            word |= {"checkpointStep": 50, "accuracy": 0.9}
            assert space.status()["progress"]["step"] == 7
            space.end_pod("q-coordinator-0-1", 0, json.dumps(word))
            until("Succeeded", lambda: space.status()["phase"] == "Succeeded")
    status = space.status()
    assert status["progress"] == {"step": 50, "totalSteps": 50, "rewardMean": 0.5, "tokens": 0} | {
        "accuracy": 0.9
    }
    assert status["checkpoint"]["lastStep"] == 50
    assert space.condition("Completed")["status"] == "True"
    assert "q-coordinator-0-1" in space.names("pods")
    assert len(coordinator.tokens) == 1


def test_a_suspended_job_is_saved_gives_back_its_pods_and_goes_on(
    kubeconfig: Path, space: Namespace
) -> None:
    path = f"{JOBS.format(space.name)}/q"
    coordinator = Coordinator(space.create_job()["metadata"]["uid"])
    coordinator.document |= {"stage": "Training", "progress": {"step": 3, "totalSteps": 50}}
    with (
        played(coordinator) as port,
        running_operator(kubeconfig, "--no-leader-election", f"--coordinator-port={port}"),
    ):
        start_all(space, ip=COORDINATOR_IP)
        until("Running", lambda: space.status().get("phase") == "Running")
        space.api.merge(path, {"spec": {"suspend": True}})
        until("the coordinator is asked to stop", lambda: coordinator.asked_for())
        assert space.status()["phase"] == "Suspending"
        since = space.status()["suspendingSince"]
        assert space.names("pods") == FIRST
        word = {"outcome": "Stopped", "exitCode": 75, "reason": "Stopped", "step": 4}
        space.end_pod("q-coordinator-0-1", 75, json.dumps(word | {"checkpointStep": 4}))
        until("Suspended", lambda: space.status()["phase"] == "Suspended")
        assert coordinator.asked_for() == {f"Stop suspend-{since}"}
        assert space.names("pods") == set()
        status = space.status()
        assert (status["progress"]["step"], status["checkpoint"]["lastStep"]) == (4, 4)
        elsewhere = {"pod": {"nodeSelector": {"pool": "b"}}}
        space.api.merge(path, {"spec": {"suspend": False, "trainer": elsewhere}})
        again = {name[:-1] + "2" for name in FIRST}
        until("the next incarnations", lambda: space.names("pods") == again)
        trainer = space.api.get(f"{space.core}/pods/q-trainer-0-2")
        assert trainer["spec"]["nodeSelector"] == {"pool": "b"}
        until("Resumed", lambda: space.condition("Suspended").get("status") == "False")
        assert space.status()["restarts"] == 0
        reasons = {"Suspending", "Suspended", "Resumed"}
        until("its Events", lambda: space.event_reasons() >= reasons)


def test_request_tokens_are_sent_until_done_and_never_again(
    kubeconfig: Path, space: Namespace
) -> None:
    path = f"{JOBS.format(space.name)}/q"
    coordinator = Coordinator(space.create_job()["metadata"]["uid"])
    coordinator.document |= {"stage": "Training", "progress": {"step": 3, "totalSteps": 50}}
    with played(coordinator) as port:
        flags = ("--no-leader-election", f"--coordinator-port={port}")
        with running_operator(kubeconfig, *flags):
            start_all(space, ip=COORDINATOR_IP)
            until("Running", lambda: space.status().get("phase") == "Running")
            assert space.status()["appliedGeneration"] == 1
            asked = {"checkpoint": {"requestToken": "a"}, "referenceReset": {"requestToken": "b"}}
            space.api.merge(path, {"spec": asked})
            both = {"Checkpoint Checkpoint-a", f"ResetReference {RESET_ID}"}
            until("both are asked for", lambda: coordinator.asked_for() >= both)
            assert coordinator.asked_for() == both
            assert "observedToken" not in space.status()["reference"]
            done = [{"id": id, "state": "Done", "step": 4} for id in ("Checkpoint-a", RESET_ID)]
            coordinator.document |= {"commands": done} | SAVED
            until("the echo", lambda: "observedToken" in space.status().get("checkpoint", {}))
            assert space.status()["checkpoint"]["observedToken"] == "a"
            assert space.status()["reference"]["observedToken"] == "b"
            until("the changed spec is in force", lambda: space.status()["appliedGeneration"] == 2)
            until("Events", lambda: {"CheckpointSaved", "ReferenceReset"} <= space.event_reasons())
            until("what is done is asked for no more", coordinator.hears_no_more)
        coordinator.document["commands"] = []
        with running_operator(kubeconfig, *flags):
            space.api.merge(path, {"spec": {"checkpoint": {"requestToken": "c"}}})
            until("the new one is asked for", lambda: coordinator.asked_for())
            coordinator.document["commands"] = [{"id": "Checkpoint-c", "state": "Done", "step": 4}]
            until("the echo", lambda: space.status()["checkpoint"]["observedToken"] == "c")
            assert coordinator.asked_for() == {"Checkpoint Checkpoint-c"}


RESET_ID = "ResetReference-b"
SAVED: dict[str, Any] = {
    "checkpoint": {
        "lastStep": 4, "lastTime": "2026-01-01T00:00:00Z", "uri": "pvc://c/q", "sizeBytes": 9,
    },
    "reference": {"version": 1, "lastResetStep": 4, "lastReason": "Requested"},
}  # fmt: skip


def test_scaling_rollout_makes_and_deletes_the_highest_index(
    operator: Operator, space: Namespace
) -> None:
    space.create_job()
    start_all(space)
    path = f"{JOBS.format(space.name)}/q"
    space.api.merge(f"{path}/scale", {"spec": {"replicas": 2}})
    until("second engine", lambda: "q-rollout-1-1" in space.names("pods"))
    space.api.merge(f"{path}/scale", {"spec": {"replicas": 1}})
    until("second engine leaves", lambda: gone_or_leaving(space, "q-rollout-1-1"))
    assert not gone_or_leaving(space, "q-rollout-0-1")


def test_the_second_operator_waits_for_the_lease_and_takes_over(
    kubeconfig: Path, space: Namespace
) -> None:
    with running_operator(kubeconfig) as first:
        until("first leads", lambda: first.get("/readyz")[0] == 200)
        with running_operator(kubeconfig) as second:
            until("second stands by", lambda: second.get("/readyz")[0] == 200)
            assert second.counted("prorl_operator_leader") == 0
            assert first.stop() == 0
            until("second leads", lambda: second.counted("prorl_operator_leader") == 1)
            space.create_job()
            until("all pods", lambda: space.names("pods") == FIRST)
            assert second.stop() == 0


def test_needs_little_memory(operator: Operator) -> None:
    text = Path(f"/proc/{operator.process.pid}/status").read_text()
    rss_kib = int(text.split("VmRSS:")[1].split()[0])
    print(f"RSS without a job: {rss_kib / 1024:.0f} MiB")
    assert rss_kib < 120 * 1024
