"""The pods of every role, as the job chose them."""

from typing import Any

import pytest
from controller_builders import (
    COORDINATOR,
    EVERY_SLOT,
    IMAGE,
    ROLLOUT,
    TRAINER,
    UID,
    VERIFIER,
    make_job,
)
from full_job import make_full_job
from prorl_api.job import ProRLJob
from prorl_api.spec_roles import Role
from prorl_operator.build.ledger import ANNOTATION, Ledger
from prorl_operator.build.names import Slot
from prorl_operator.build.pods import build_pod

RAY_SLOTS = EVERY_SLOT[:3]
FULL = make_full_job()


def pod_of(slot: Slot, job: ProRLJob = FULL, incarnation: int = 3) -> dict[str, Any]:
    return build_pod(job, slot, incarnation, default_image=IMAGE, ledger=Ledger(restarts=1))


def container_of(slot: Slot, job: ProRLJob = FULL) -> dict[str, Any]:
    (container,) = pod_of(slot, job)["spec"]["containers"]
    return dict(container)


@pytest.mark.parametrize("slot", EVERY_SLOT, ids=lambda slot: slot.role)
def test_every_mount_has_its_volume(slot: Slot) -> None:
    volumes = [volume["name"] for volume in pod_of(slot)["spec"]["volumes"]]
    mounts = [mount["name"] for mount in container_of(slot)["volumeMounts"]]
    assert sorted(mounts) == sorted(volumes)
    paths = [mount["mountPath"] for mount in container_of(slot)["volumeMounts"]]
    assert len(set(paths)) == len(paths)


def test_rollouts_read_the_checkpoints_but_never_write_them() -> None:
    def storage(slot: Slot) -> dict[str, Any]:
        return next(m for m in container_of(slot)["volumeMounts"] if m["name"] == "storage")

    assert storage(ROLLOUT)["readOnly"] is True
    assert "readOnly" not in storage(TRAINER)
    assert "readOnly" not in storage(COORDINATOR)


def test_a_pod_is_found_by_its_labels_and_carries_the_tally() -> None:
    meta = pod_of(TRAINER)["metadata"]
    assert (meta["name"], meta["namespace"]) == ("q-trainer-0-3", "team")
    assert meta["labels"] == {
        "app.kubernetes.io/managed-by": "prorl-operator",
        "prorl.dev/job": "q",
        "prorl.dev/job-uid": UID,
        "prorl.dev/role": "trainer",
        "prorl.dev/index": "0",
        "prorl.dev/incarnation": "3",
    }
    assert meta["annotations"] == {ANNOTATION: Ledger(restarts=1).dumps()}
    (owner,) = meta["ownerReferences"]
    assert (owner["uid"], owner["controller"]) == (UID, True)


@pytest.mark.parametrize("slot", EVERY_SLOT, ids=lambda slot: slot.role)
def test_the_host_name_stays_over_incarnations(slot: Slot) -> None:
    first, second = pod_of(slot, incarnation=1)["spec"], pod_of(slot, incarnation=2)["spec"]
    assert first["hostname"] == second["hostname"] == f"{slot.role}-0"
    assert first["subdomain"] == "q"
    assert first["restartPolicy"] == "Never"


@pytest.mark.parametrize("slot", EVERY_SLOT, ids=lambda slot: slot.role)
def test_what_the_job_chooses_reaches_the_pod(slot: Slot) -> None:
    spec = pod_of(slot)["spec"]
    assert spec["containers"][0]["image"] == "mine:2"
    assert spec["nodeSelector"] == {"zone": "a"}
    assert spec["tolerations"] == [
        {"key": "gpu", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 0},
        {"key": "spot", "operator": "Equal", "value": "yes"},
    ]
    assert container_of(slot, make_job())["image"] == IMAGE


@pytest.mark.parametrize(
    ("slot", "gpus"), [(COORDINATOR, None), (TRAINER, "2"), (ROLLOUT, "1"), (VERIFIER, None)],
    ids=lambda value: value.role if isinstance(value, Slot) else "",
)  # fmt: skip
def test_memory_is_limited_cpu_is_not_and_gpus_are_whole(slot: Slot, gpus: str | None) -> None:
    resources = container_of(slot)["resources"]
    assert resources["requests"] == {"cpu": "3", "memory": "7Gi"}
    wanted = {"memory": "7Gi"} | ({"nvidia.com/gpu": gpus} if gpus else {})
    assert resources["limits"] == wanted


def test_a_pod_without_any_wish_has_no_empty_resources() -> None:
    job = make_job(verifier={"pod": {}}, gpuResourceName="amd.com/gpu",
                   trainer={"gpusPerReplica": 1, "pod": {}})  # fmt: skip
    assert container_of(VERIFIER, job)["resources"] == {}
    assert container_of(TRAINER, job)["resources"] == {"limits": {"amd.com/gpu": "1"}}


@pytest.mark.parametrize("slot", RAY_SLOTS, ids=lambda slot: slot.role)
def test_ray_pods_run_the_agent_of_their_role(slot: Slot) -> None:
    container = container_of(slot)
    assert container["command"] == ["python", "-m", "prorl_trainer.agent", slot.role.value]
    assert "livenessProbe" not in container
    volumes = {v["name"]: v for v in pod_of(slot)["spec"]["volumes"]}
    assert volumes["shm"]["emptyDir"] == {"medium": "Memory", "sizeLimit": "7Gi"}


def test_a_verifier_is_told_its_port_its_limit_and_where_its_token_is() -> None:
    container = container_of(VERIFIER)
    words = container["command"]
    assert words[:3] == ["python", "-m", "prorl_verifier"]
    flags = dict(zip(words[3::2], words[4::2], strict=True))
    assert flags["--port"] == "8000"
    assert flags["--timeout-seconds"] == "33"
    assert flags["--minimum-isolation"] == "seccomp"
    assert flags["--token-file"] == "/etc/prorl/tokens/verifier"
    assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": 8000}


def test_only_verifiers_run_under_their_runtime_class() -> None:
    job = make_job(verifier={"runtimeClassName": "gvisor"})
    assert pod_of(VERIFIER, job)["spec"]["runtimeClassName"] == "gvisor"
    assert "runtimeClassName" not in pod_of(TRAINER, job)["spec"]
    assert "runtimeClassName" not in pod_of(VERIFIER)["spec"]


@pytest.mark.parametrize(
    ("role", "port"),
    [(Role.COORDINATOR, 8080), (Role.TRAINER, 8081), (Role.ROLLOUT, 8081), (Role.VERIFIER, 8000)],
)
def test_readiness_is_asked_at_the_port_that_answers(role: Role, port: int) -> None:
    container = container_of(Slot(role=role, index=0))
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": port}
    assert [one["containerPort"] for one in container["ports"]] == [port]


def test_the_same_pod_is_built_the_same() -> None:
    assert str(pod_of(TRAINER)) == str(pod_of(TRAINER))
