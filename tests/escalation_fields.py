"""Fields of pods that a job does not have, tried at every role."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from manifests import manifest

ROLES = ("coordinator", "trainer", "rollout", "verifier")
ROOT = {"runAsUser": 0, "privileged": True}
HOST_PATH = [{"name": "host", "hostPath": {"path": "/"}}]
SIDECAR = [{"name": "x", "image": "x", "securityContext": ROOT}]

POD_FIELDS: dict[str, Any] = {
    "hostNetwork": True,
    "hostPID": True,
    "hostIPC": True,
    "hostUsers": True,
    "shareProcessNamespace": True,
    "serviceAccountName": "prorl-prorl-operator",
    "automountServiceAccountToken": True,
    "securityContext": ROOT,
    "containers": SIDECAR,
    "initContainers": SIDECAR,
    "ephemeralContainers": SIDECAR,
    "volumes": HOST_PATH,
    "volumeMounts": [{"name": "host", "mountPath": "/host"}],
    "volumeDevices": [{"name": "host", "devicePath": "/dev/sda"}],
    "env": [{"name": "LD_PRELOAD", "value": "/tmp/x.so"}],
    "envFrom": [{"secretRef": {"name": "others"}}],
    "command": ["/bin/sh"],
    "args": ["-c", "id"],
    "lifecycle": {"postStart": {"exec": {"command": ["id"]}}},
    "nodeName": "control-plane",
    "schedulerName": "mine",
    "priorityClassName": "system-node-critical",
    "imagePullSecrets": [{"name": "others"}],
    "hostAliases": [{"ip": "127.0.0.1", "hostnames": ["kubernetes.default"]}],
    "dnsConfig": {"nameservers": ["10.0.0.1"]},
    "annotations": {"container.apparmor.security.beta.kubernetes.io/main": "unconfined"},
    "labels": {"app": "somebody-elses"},
    "resourceClaims": [{"name": "device"}],
    "runtimeClassName": "privileged",
}
"""What a pod has and `pod` of a role does not."""

SPEC_FIELDS: dict[str, Any] = {
    "template": {"spec": {"hostNetwork": True}},
    "podTemplate": {"hostPID": True},
    "serviceAccountName": "default",
    "securityContext": ROOT,
    "env": [{"name": "PYTHONPATH", "value": "/tmp"}],
    "volumes": HOST_PATH,
    "namespace": "kube-system",
    "rbac": {"rules": ["*"]},
    "hostNetwork": True,
    "finalizers": ["x"],
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """`refused`: a part of the server's message; None: admitted, and harmless."""

    id: str
    manifest: dict[str, Any]
    refused: str | None = None
    without: dict[str, Any] | None = None
    """The manifest without the unknown field."""


def unknown_fields() -> Iterator[Attempt]:
    """A client that does not ask for strictness has them dropped instead."""
    for role in ROLES:
        for field, value in POD_FIELDS.items():
            yield Attempt(
                id=f"{role}-{field}",
                manifest=manifest(**{role: {"pod": {field: value}}}),
                refused=f'unknown field "spec.{role}.pod.{field}"',
                without=manifest(**{role: {"pod": {}}}),
            )
    for field, value in SPEC_FIELDS.items():
        yield Attempt(
            id=f"spec-{field}",
            manifest=manifest(**{field: value}),
            refused=f'unknown field "spec.{field}"',
            without=manifest(),
        )
