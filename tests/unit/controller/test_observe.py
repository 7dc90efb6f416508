"""From watched objects to the snapshot: what a pod's status means."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from controller_builders import (
    TRAINER,
    UID,
    make_job,
    make_status,
    stored_form,
)
from prorl_api.job import parse_job
from prorl_operator.build.ledger import ANNOTATION, Ledger
from prorl_operator.kube.observe import (
    describe_invalid,
    generation_of,
    is_deleting,
    owner_uid,
    parse_pod,
    parse_status,
)
from prorl_operator.plan.disruption import Disruption
from prorl_operator.plan.observed import PodView
from pydantic import ValidationError

LABELS = {"prorl.dev/role": "trainer", "prorl.dev/index": "0", "prorl.dev/incarnation": "2"}
OWNER = {"uid": UID, "controller": True, "kind": "ProRLJob", "name": "q"}
AT = datetime(2026, 1, 1, 11, tzinfo=UTC)


def body(status: dict[str, Any] | None = None, **meta: Any) -> dict[str, Any]:
    metadata = {"name": "q-trainer-0-2", "uid": "u", "labels": LABELS, "ownerReferences": [OWNER]}
    return {"kind": "Pod", "metadata": metadata | meta, "status": status or {}}


def parsed(status: dict[str, Any] | None = None, **meta: Any) -> PodView:
    view = parse_pod(body(status, **meta))
    assert view is not None
    return view


def container(state: dict[str, Any], name: str = "main") -> dict[str, Any]:
    return {"containerStatuses": [{"name": "sidecar"}, {"name": name, "state": state}]}


def condition(kind: str, status: str = "True", **values: str) -> dict[str, Any]:
    return {"conditions": [{"type": kind, "status": status, **values}]}


def test_a_pod_without_status_is_pending() -> None:
    view = parsed(None, creationTimestamp="2026-01-01T11:00:00Z")
    assert view == PodView(
        name="q-trainer-0-2", uid="u", owner_uid=UID, slot=TRAINER, incarnation=2, created_at=AT
    )


def test_a_running_pod_is_read() -> None:
    status = {"phase": "Running", "podIP": "10.0.0.1", **condition("Ready")}
    view = parsed(status | container({"running": {"startedAt": "2026-01-01T11:00:00Z"}}))
    assert (view.phase, view.ip, view.ready, view.started_at) == ("Running", "10.0.0.1", True, AT)
    assert not parsed(status | condition("Ready", "False")).ready


def test_an_ended_container_is_read() -> None:
    ended = {
        "exitCode": 0, "reason": "Completed", "message": "done",
        "startedAt": "2026-01-01T11:00:00Z", "finishedAt": "2026-01-01T11:00:30Z",
    }  # fmt: skip
    view = parsed({"phase": "Succeeded", **container({"terminated": ended})})
    assert (view.exit_code, view.exit_reason, view.exit_message) == (0, "Completed", "done")
    assert (view.started_at, view.finished_at) == (AT, AT + timedelta(seconds=30))


@pytest.mark.parametrize("reason", ["Completed", "Error"])
def test_what_the_kubelet_says_of_a_pod_over_its_own_limit_is_kept(reason: str) -> None:
    over = {
        "phase": "Failed",
        "reason": "Evicted",
        "message": "Usage of EmptyDir volume exceeds its limit.",
    }
    view = parsed(over | container({"terminated": {"exitCode": 0, "reason": reason}}))
    assert (view.exit_code, view.exit_reason) == (0, "Evicted")
    assert view.exit_message == "Usage of EmptyDir volume exceeds its limit."
    word = {"exitCode": 75, "reason": reason, "message": "a final word"}
    assert parsed(over | container({"terminated": word})).exit_message == "a final word"


def test_the_end_of_another_container_is_not_the_pods() -> None:
    view = parsed(container({"terminated": {"exitCode": 3}}, name="other"))
    assert view.exit_code is None


def test_a_pod_that_the_kubelet_refused_has_no_code_but_a_reason() -> None:
    view = parsed({"phase": "Failed", "reason": "UnexpectedAdmissionError"})
    assert (view.exit_code, view.exit_reason) == (None, "UnexpectedAdmissionError")
    assert view.disruption is None


TAKEN: dict[str, tuple[dict[str, Any], Disruption | None]] = {
    "eviction API": (condition("DisruptionTarget", reason="EvictionByEvictionAPI"),
                     Disruption.EVICTION),
    "scheduler": (condition("DisruptionTarget", reason="PreemptionByScheduler"),
                  Disruption.PREEMPTION),
    "taint": (condition("DisruptionTarget", reason="DeletionByTaintManager"), Disruption.TAINT),
    "pod gc": (condition("DisruptionTarget", reason="DeletionByPodGC"), Disruption.POD_GC),
    "node pressure": ({"reason": "Evicted"}
                      | condition("DisruptionTarget", reason="TerminationByKubelet"),
                      Disruption.KUBELET),
    "shutdown": ({"reason": "Terminated"}
                 | condition("DisruptionTarget", reason="TerminationByKubelet"),
                 Disruption.NODE_SHUTDOWN),
    "unknown": (condition("DisruptionTarget", reason="SolarFlare"), Disruption.OTHER),
    "without a reason": (condition("DisruptionTarget"), Disruption.OTHER),
    "no longer a target": (condition("DisruptionTarget", "False"), None),
    "old kubelet's shutdown": ({"reason": "NodeShutdown"}, Disruption.NODE_SHUTDOWN),
    "old kubelet's preemption": ({"reason": "Preempting"}, Disruption.KUBELET),
    "lost": ({"reason": "NodeLost"}, Disruption.NODE_LOST),
    "over its own limit": ({"reason": "Evicted"}, None),
    "oom": (container({"terminated": {"exitCode": 137, "reason": "OOMKilled"}}), None),
    "none": ({}, None),
}  # fmt: skip


@pytest.mark.parametrize(("status", "disruption"), TAKEN.values(), ids=TAKEN)
def test_what_took_a_pod_is_read(status: dict[str, Any], disruption: Disruption | None) -> None:
    assert parsed({"phase": "Failed", **status}).disruption is disruption


def test_a_pod_was_told_to_go_when_its_grace_began() -> None:
    leaving = {"deletionTimestamp": "2026-01-01T11:01:00Z", "deletionGracePeriodSeconds": 60}
    assert parsed({}, **leaving).told_at == AT
    target = condition("DisruptionTarget", lastTransitionTime="2026-01-01T11:00:30Z")
    assert parsed(target, **leaving).told_at == AT + timedelta(seconds=30)
    assert parsed({}).told_at is None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}, "0/3 nodes"),
        ({"status": "False", "reason": "SchedulingGated", "message": "gated"}, ""),
        ({"status": "True", "reason": "Unschedulable", "message": "0/3 nodes"}, ""),
    ],
)
def test_only_a_pod_that_fits_nowhere_is_unschedulable(
    values: dict[str, str], message: str
) -> None:
    assert parsed(condition("PodScheduled", **values)).unschedulable == message


def test_a_waiting_container_says_why() -> None:
    waiting = {"reason": "ErrImagePull", "message": "no such host"}
    view = parsed(container({"waiting": waiting}))
    assert (view.waiting_reason, view.waiting_message) == ("ErrImagePull", "no such host")


def test_deletion_node_loss_and_tally_are_read() -> None:
    tally = Ledger(restarts=3).dumps()
    view = parsed(
        {"reason": "NodeLost"},
        deletionTimestamp="2026-01-01T11:00:00+00:00",
        annotations={ANNOTATION: tally},
    )
    assert (view.deletion_at, view.node_lost, view.ledger) == (AT, True, Ledger(restarts=3))


@pytest.mark.parametrize(
    "labels",
    [
        None, {}, {**LABELS, "prorl.dev/role": "poet"}, {**LABELS, "prorl.dev/index": "x"},
        {**LABELS, "prorl.dev/incarnation": "x"},
        {key: LABELS[key] for key in list(LABELS)[:2]},
    ],
)  # fmt: skip
def test_a_pod_without_our_labels_is_none_of_ours(labels: dict[str, str] | None) -> None:
    assert parse_pod(body(labels=labels)) is None


def test_the_owner_is_the_one_that_controls() -> None:
    other = {"uid": "other", "kind": "X"}
    assert owner_uid(body(ownerReferences=[other, OWNER])) == UID
    assert owner_uid(body(ownerReferences=[other])) == ""
    assert owner_uid(body(ownerReferences=None)) == ""


def test_a_status_that_we_wrote_is_read_back() -> None:
    status = make_status()
    text = status.model_dump(mode="json", by_alias=True, exclude_none=True)
    assert parse_status({"status": text}) == stored_form(status)


@pytest.mark.parametrize("job", [{}, {"status": None}, {"status": {}}, {"status": {"phase": "?"}}])
def test_a_status_that_is_not_ours_is_none(job: dict[str, Any]) -> None:
    assert parse_status(job) is None


def test_a_job_that_cannot_be_read_names_its_fields() -> None:
    manifest = make_job().model_dump(mode="json", by_alias=True)
    manifest["spec"] |= {"newField": 1, "trainer": {"replicas": "many"}}
    with pytest.raises(ValidationError) as caught:
        parse_job(manifest)
    said = describe_invalid(caught.value)
    assert said.startswith("This operator cannot read the job: ")
    assert "spec.trainer.replicas: " in said
    assert "spec.newField: " in said


def test_generation_and_deletion_are_read() -> None:
    assert generation_of(make_job(generation=4)) == 4
    assert generation_of({"metadata": {"generation": 5}}) == 5
    assert generation_of({"metadata": {}}) == 0
    assert is_deleting({"metadata": {"deletionTimestamp": "x"}})
    assert not is_deleting({"metadata": {}})
