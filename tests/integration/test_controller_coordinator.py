"""The operator on a real API server follows and commands a coordinator that the test plays."""

import json
from pathlib import Path
from typing import Any

from controller_cluster import COORDINATOR_IP, Namespace, until
from operator_process import running_operator
from played_job import FIRST, Coordinator, played, start_all


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


def at_step_3(space: Namespace) -> Coordinator:
    """Of a new job."""
    coordinator = Coordinator(space.create_job()["metadata"]["uid"])
    coordinator.document |= {"stage": "Training", "progress": {"step": 3, "totalSteps": 50}}
    return coordinator


def test_a_suspended_job_is_saved_gives_back_its_pods_and_goes_on(
    kubeconfig: Path, space: Namespace
) -> None:
    coordinator = at_step_3(space)
    with (
        played(coordinator) as port,
        running_operator(kubeconfig, "--no-leader-election", f"--coordinator-port={port}"),
    ):
        start_all(space, ip=COORDINATOR_IP)
        until("Running", lambda: space.status().get("phase") == "Running")
        space.patch(suspend=True)
        until("the coordinator is asked to stop", lambda: coordinator.asked_for())
        until("Suspending", lambda: space.status()["phase"] == "Suspending")
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
        space.patch(suspend=False, trainer=elsewhere)
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
    coordinator = at_step_3(space)
    with played(coordinator) as port:
        flags = ("--no-leader-election", f"--coordinator-port={port}")
        with running_operator(kubeconfig, *flags):
            start_all(space, ip=COORDINATOR_IP)
            until("Running", lambda: space.status().get("phase") == "Running")
            assert space.status()["appliedGeneration"] == 1
            space.patch(checkpoint={"requestToken": "a"}, referenceReset={"requestToken": "b"})
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
            space.patch(checkpoint={"requestToken": "c"})
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
