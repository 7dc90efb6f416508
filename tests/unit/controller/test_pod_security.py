"""Every pod passes Pod Security `restricted`, and holds no secret that it does not need."""

import re
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
from prorl_operator.build.ledger import Ledger
from prorl_operator.build.names import Slot
from prorl_operator.build.pods import build_pod
from prorl_operator.build.secrets import Purpose, token
from restricted import breaches

JOBS = {"least": make_job(), "full": make_full_job()}


def pod_of(slot: Slot, job: ProRLJob = JOBS["full"]) -> dict[str, Any]:
    return build_pod(job, slot, 1, default_image=IMAGE, ledger=Ledger())


def container_of(slot: Slot) -> dict[str, Any]:
    (container,) = pod_of(slot)["spec"]["containers"]
    return dict(container)


@pytest.mark.parametrize("job", JOBS.values(), ids=JOBS.keys())
@pytest.mark.parametrize("slot", EVERY_SLOT, ids=lambda slot: slot.role)
def test_every_pod_passes_pod_security_restricted(slot: Slot, job: ProRLJob) -> None:
    assert breaches(pod_of(slot, job)) == []


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("spec", {"hostNetwork": True}),
        ("spec", {"volumes": [{"name": "x", "hostPath": {"path": "/"}}]}),
        ("spec", {"securityContext": {"runAsNonRoot": True}}),
        ("container", {"securityContext": {}}),
        ("container", {"securityContext": {"allowPrivilegeEscalation": False}}),
        ("container", {"ports": [{"containerPort": 1, "hostPort": 1}]}),
        ("container", {"livenessProbe": {"httpGet": {"host": "10.0.0.1", "port": 1}}}),
    ],
)
def test_the_check_itself_sees_a_breach(part: str, change: dict[str, Any]) -> None:
    pod = pod_of(TRAINER)
    (pod["spec"] if part == "spec" else pod["spec"]["containers"][0]).update(change)
    assert breaches(pod) != []


@pytest.mark.parametrize("slot", EVERY_SLOT, ids=lambda slot: slot.role)
def test_no_pod_has_rights_on_the_cluster_or_a_writable_root(slot: Slot) -> None:
    spec = pod_of(slot)["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert "serviceAccountName" not in spec
    assert spec["enableServiceLinks"] is False
    assert spec["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True


@pytest.mark.parametrize("slot", EVERY_SLOT, ids=lambda slot: slot.role)
def test_no_secret_is_in_the_environment(slot: Slot) -> None:
    text = str(container_of(slot))
    secrets = [token(key, UID, p) for key in (b"k" * 32, b"") for p in Purpose]
    assert not any(secret in text for secret in secrets)
    env = container_of(slot)["env"]
    assert not [entry for entry in env if "secretKeyRef" in entry.get("valueFrom", {})]
    assert "envFrom" not in container_of(slot)
    long_hex = re.compile(r"[0-9a-f]{32,}")
    assert not [entry for entry in env if long_hex.search(str(entry.get("value")))]


@pytest.mark.parametrize(
    ("slot", "keys"),
    [
        (COORDINATOR, {"api", "ray", "verifier"}),
        (TRAINER, {"api", "ray", "verifier"}),
        (ROLLOUT, {"api", "ray", "verifier"}),
        (VERIFIER, {"verifier"}),
    ],
    ids=lambda value: value.role if isinstance(value, Slot) else "",
)
def test_a_verifier_holds_its_own_token_and_no_other(slot: Slot, keys: set[str]) -> None:
    volumes = {v["name"]: v for v in pod_of(slot)["spec"]["volumes"]}
    secret = volumes["tokens"]["secret"]
    assert secret["secretName"] == "q-tokens"
    assert {item["key"] for item in secret["items"]} == keys
    assert secret["defaultMode"] & 0o007 == 0


def test_a_verifier_sees_neither_storage_nor_config() -> None:
    names = {volume["name"] for volume in pod_of(VERIFIER)["spec"]["volumes"]}
    assert names == {"tmp", "tokens"}
