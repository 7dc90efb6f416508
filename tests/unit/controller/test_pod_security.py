"""Every pod passes Pod Security `restricted`, and holds no secret that it does not need."""

import re
from typing import Any

import pytest
from controller_builders import (
    COORDINATOR,
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

EVERY_SLOT = [COORDINATOR, TRAINER, ROLLOUT, VERIFIER]
ALLOWED_VOLUMES = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim",
    "projected", "secret",
}  # fmt: skip
JOBS = {"least": make_job(), "full": make_full_job()}


def pod_of(slot: Slot, job: ProRLJob = JOBS["full"]) -> dict[str, Any]:
    return build_pod(job, slot, 1, default_image=IMAGE, ledger=Ledger())


def container_of(slot: Slot) -> dict[str, Any]:
    (container,) = pod_of(slot)["spec"]["containers"]
    return dict(container)


def breaches(pod: dict[str, Any]) -> list[str]:
    """What Pod Security `restricted` would refuse (kubernetes.io, Pod Security Standards)."""
    spec = pod["spec"]
    containers = [
        one
        for kind in ("containers", "initContainers", "ephemeralContainers")
        for one in spec.get(kind, [])
    ]
    found = [key for key in ("hostNetwork", "hostPID", "hostIPC") if spec.get(key)]
    for volume in spec.get("volumes", []):
        found += [f"volume {key}" for key in volume.keys() - {"name"} - ALLOWED_VOLUMES]
    found += _user_breaches("pod", spec.get("securityContext", {}), {})
    for one in containers:
        context = one.get("securityContext", {})
        found += _container_breaches(one, context)
        found += _user_breaches(one["name"], context, spec.get("securityContext", {}))
    return found


def _user_breaches(where: str, context: dict[str, Any], outer: dict[str, Any]) -> list[str]:
    found = []
    effective = outer | context
    if where != "pod" and effective.get("runAsNonRoot") is not True:
        found.append(f"{where} runAsNonRoot")
    if context.get("runAsUser") == 0:
        found.append(f"{where} runAsUser")
    profile = effective.get("seccompProfile", {}).get("type")
    if where != "pod" and profile not in ("RuntimeDefault", "Localhost"):
        found.append(f"{where} seccompProfile")
    unsafe = ("seLinuxOptions", "windowsOptions", "sysctls", "appArmorProfile")
    return found + [f"{where} {key}" for key in unsafe if key in context]


def _container_breaches(one: dict[str, Any], context: dict[str, Any]) -> list[str]:
    name, capabilities = one["name"], context.get("capabilities", {})
    found = []
    if context.get("privileged"):
        found.append(f"{name} privileged")
    if context.get("allowPrivilegeEscalation") is not False:
        found.append(f"{name} allowPrivilegeEscalation")
    if "ALL" not in capabilities.get("drop", []):
        found.append(f"{name} capabilities drop")
    if set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}:
        found.append(f"{name} capabilities add")
    if context.get("procMount", "Default") != "Default":
        found.append(f"{name} procMount")
    if any("hostPort" in port for port in one.get("ports", [])):
        found.append(f"{name} hostPort")
    probes = ("readinessProbe", "livenessProbe", "startupProbe", "lifecycle")
    return found + [f"{name} {key} host" for key in probes if "'host':" in str(one.get(key))]


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
