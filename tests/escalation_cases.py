"""Jobs that try to gain more than a restricted pod, and what becomes of each.

Refused ones say what the server's message holds. The others are admitted: the words of the attempt
must not reach the pods in a way that counts (tests/unit/controller/test_escalation.py), and a
server that enforces Pod Security takes these pods (tests/integration/test_escalation.py).
"""

from typing import Any

from escalation_fields import Attempt, unknown_fields
from manifests import code_set, dataset, manifest


def _pod(role: str, **fields: Any) -> dict[str, Any]:
    return manifest(**{role: {"pod": fields}})


def _data(**fields: Any) -> dict[str, Any]:
    return manifest(data={"train": [dataset(**fields)]})


def _rows(uri: str) -> dict[str, Any]:
    return manifest(data={"train": [code_set(uri=uri)]})


def _claim(name: str) -> dict[str, Any]:
    return manifest(checkpoint={"storage": {"pvc": {"claimName": name}}})


def _remote(name: str, url: str) -> dict[str, Any]:
    return manifest(verifier={"remotes": [{"name": name, "url": url}]})


def _named(name: str) -> dict[str, Any]:
    return manifest() | {"metadata": {"name": name}}


def _with_metadata(**fields: Any) -> dict[str, Any]:
    return manifest() | {"metadata": {"name": "case"} | fields}


_REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "privileged-in-resources": (
        _pod("trainer", resources={"limits": {"example.com/device": 1}}),
        "spec.trainer.pod.resources.limits",
    ),
    "hugepages": (_pod("trainer", resources={"hugepages-2Mi": "1Gi"}), "hugepages-2Mi"),
    "negative-cpu": (_pod("rollout", resources={"cpu": "-1"}), "spec.rollout.pod.resources.cpu"),
    "negative-cpu-number": (_pod("rollout", resources={"cpu": -1}), "resources.cpu"),
    "memory-without-end": (_pod("rollout", resources={"memory": "9" * 40}), "resources.memory"),
    "memory-as-a-program": (_pod("rollout", resources={"memory": "$(id)"}), "resources.memory"),
    "toleration-of-its-own": (
        _pod("rollout", tolerations=[{"operator": "Exists", "priority": 1}]),
        "tolerations[0].priority",
    ),
    "toleration-operator": (_pod("rollout", tolerations=[{"operator": "In"}]), "operator"),
    "very-many-tolerations": (
        _pod("rollout", tolerations=[{"operator": "Exists"}] * 17),
        "spec.rollout.pod.tolerations",
    ),
    "node-selector-as-a-list": (_pod("rollout", nodeSelector=["a"]), "nodeSelector"),
    "node-selector-key": (_pod("rollout", nodeSelector={"a b": "c"}), "nodeSelector"),
    "node-selector-value": (_pod("rollout", nodeSelector={"a": "b\nc: d"}), "nodeSelector"),
    "gpu-as-cpu": (manifest(gpuResourceName="cpu"), "spec.gpuResourceName"),
    "gpu-as-pods": (manifest(gpuResourceName="pods"), "spec.gpuResourceName"),
    "gpu-with-a-line-end": (manifest(gpuResourceName="a/b\nc"), "spec.gpuResourceName"),
    "gpus-below-zero": (manifest(trainer={"gpusPerReplica": -1}), "gpusPerReplica"),
    "replicas-without-end": (manifest(rollout={"replicas": 10**9}), "spec.rollout.replicas"),
    "grace-without-end": (
        manifest(checkpoint={"gracePeriodSeconds": 10**9}),
        "gracePeriodSeconds",
    ),
    "image-with-a-flag": (manifest(image="--privileged"), "spec.image"),
    "image-with-a-space": (manifest(image="a b"), "spec.image"),
    "image-with-a-line-end": (manifest(image="a\nhostNetwork: true"), "spec.image"),
    "image-from-a-variable": (manifest(image="$(SECRET)"), "spec.image"),
    "image-very-long": (manifest(image="a" * 1025), "spec.image"),
    "image-as-a-mapping": (manifest(image={"name": "x"}), "spec.image"),
    "remote-code": (
        manifest(model={"uri": "hf://o/n", "trustRemoteCode": True}),
        "spec.model.trustRemoteCode",
    ),
    "model-on-the-host": (manifest(model={"uri": "hostpath:///etc"}), "spec.model.uri"),
    "model-that-climbs": (manifest(model={"uri": "file:///../../etc"}), "must have no `..`"),
    "model-that-climbs-out-of-a-claim": (
        manifest(model={"uri": "pvc://claim/../../etc/prorl/tokens"}),
        "must have no `..`",
    ),
    "model-that-ends-above": (manifest(model={"uri": "pvc://claim/.."}), "must have no `..`"),
    "model-of-a-foreign-namespace": (
        manifest(model={"uri": "pvc://other:claim/x"}),
        "the name of a claim",
    ),
    "model-with-a-line-end": (manifest(model={"uri": "file:///a\nb"}), "spec.model.uri"),
    "model-from-a-variable": (manifest(model={"uri": "file:///$(HOME)"}), "spec.model.uri"),
    "revision-as-a-flag": (
        manifest(model={"uri": "hf://o/n", "revision": "a; id"}),
        "spec.model.revision",
    ),
    "data-that-climbs": (_rows("file:///../../etc/x.jsonl"), "must have no `..`"),
    "data-that-climbs-in-hex": (_rows("pvc://claim/%2e%2e/%2E%2e/x.jsonl"), "must have no `..`"),
    "data-that-climbs-by-slashes-in-hex": (_rows("pvc://claim/a%2f..%2fx.jsonl"), "no `..`"),
    "data-of-the-claims-above": (_rows("pvc://../x.jsonl"), "must have no `..`"),
    "data-with-a-user": (_rows("pvc://user@claim/x.jsonl"), "the name of a claim"),
    "data-claim-in-capitals": (_rows("pvc://Claim/x.jsonl"), "the name of a claim"),
    "data-of-the-job-s-tokens": (_rows("file:///etc/prorl/tokens/api"), ".jsonl and .parquet"),
    "data-of-the-processes": (_rows("file:///proc/self/environ"), ".jsonl and .parquet"),
    "data-by-ftp": (_rows("ftp://host/x.jsonl"), "uri"),
    "data-by-a-shell": (_rows("file:///x;id.jsonl"), "uri"),
    "data-in-clear-without-hash": (_rows("http://169.254.169.254/x.jsonl"), "sha256"),
    "data-name": (_data(name="../a"), "name"),
    "data-verifier": (_data(verifier="../../bin/sh"), "verifier"),
    "system-prompt-without-end": (_data(systemPrompt="a" * 8193), "systemPrompt"),
    "claim-that-climbs": (_claim("../others"), "claimName"),
    "claim-of-a-namespace": (_claim("kube-system/claim"), "claimName"),
    "claim-in-unicode": (_claim("ｃlaim"), "claimName"),
    "claim-very-long": (_claim("a" * 64), "claimName"),
    "bucket-that-climbs": (manifest(checkpoint={"storage": {"uri": "s3://b/../c"}}), "uri"),
    "export-that-climbs": (manifest(export={"uri": "pvc://claim/../../etc"}), "spec.export.uri"),
    "export-to-a-hidden-file": (manifest(export={"uri": "file:///root/.ssh"}), "spec.export.uri"),
    "export-over-http": (manifest(export={"uri": "http://host/x"}), "spec.export.uri"),
    "secret-of-a-namespace": (
        manifest(data={"train": [dataset()], "credentialsSecret": "kube-system/token"}),
        "credentialsSecret",
    ),
    "secret-that-climbs": (
        manifest(data={"train": [dataset()], "credentialsSecret": "../x"}),
        "credentialsSecret",
    ),
    "secret-with-its-key": (
        manifest(tracking={"credentialsSecret": {"name": "x", "key": "LD_PRELOAD"}}),
        "credentialsSecret",
    ),
    "tracker-url-with-a-password": (
        manifest(tracking={"wandb": {"project": "p", "url": "https://user:secret@host"}}),
        "spec.tracking.wandb.url",
    ),
    "remote-with-a-password": (_remote("judge", "https://user:secret@host/"), "url"),
    "remote-by-file": (_remote("judge", "file:///etc/passwd"), "url"),
    "remote-with-a-line-end": (_remote("judge", "https://host/\n--host=0"), "url"),
    "remote-name-as-a-flag": (_remote("--token-file", "https://host/"), "name"),
    "remote-in-the-place-of-ours": (_remote("code", "https://host/"), "name"),
    "runtime-class-that-climbs": (
        manifest(verifier={"runtimeClassName": "../runc"}),
        "runtimeClassName",
    ),
    "isolation": (manifest(verifier={"minimumIsolation": "host"}), "minimumIsolation"),
    "timeout-as-a-flag": (manifest(verifier={"timeoutSeconds": "1 --host"}), "timeoutSeconds"),
    "network-policy": (manifest(network={"policy": "Host"}), "spec.network.policy"),
    "name-as-a-template": (_named("{{ .Values }}"), "metadata.name"),
    "name-as-a-variable": (_named("$(HOME)"), "metadata.name"),
    "name-that-climbs": (_named("../q"), "metadata.name"),
    "name-in-unicode": (_named("qｕick"), "metadata.name"),
    "name-in-another-alphabet": (_named("а"), "metadata.name"),
    "name-with-a-dot": (_named("q.kube-system"), "metadata.name"),
    "name-very-long": (_named("a" * 41), "metadata.name"),
    "name-with-a-line-end": (_named("q\n"), "metadata.name"),
    "request-token-with-a-line-end": (
        manifest(checkpoint={"requestToken": "a\nb"}),
        "requestToken",
    ),
}  # fmt: skip

_HARMLESS: dict[str, dict[str, Any]] = {
    "annotations-of-profiles": _with_metadata(
        annotations={
            "container.apparmor.security.beta.kubernetes.io/main": "unconfined",
            "seccomp.security.alpha.kubernetes.io/pod": "unconfined",
        }
    ),
    "labels-of-others": _with_metadata(
        labels={"app.kubernetes.io/managed-by": "Helm", "prorl.dev/job": "other"}
    ),
    "owner-of-others": _with_metadata(
        ownerReferences=[{"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "u"}]
    ),
    "finalizer": _with_metadata(finalizers=["example.com/never"]),
    "status-of-its-own": manifest() | {"status": {"phase": "Succeeded"}},
    "foreign-image": manifest(image="evil.example/root@sha256:" + "a" * 64),
    "tolerates-everything": _pod("trainer", tolerations=[{"operator": "Exists"}]),
    "wants-the-control-plane": _pod(
        "verifier", nodeSelector={"node-role.kubernetes.io/control-plane": ""}
    ),
    "wants-one-node": _pod("rollout", nodeSelector={"kubernetes.io/hostname": "node-1"}),
    "device-of-a-plugin": manifest(
        gpuResourceName="devices.kubevirt.io/kvm", trainer={"gpusPerReplica": 1}
    ),
    "secret-of-the-operator": manifest(
        data={"train": [dataset()], "credentialsSecret": "prorl-prorl-operator-token-key"}
    ),
    "secret-of-a-tracker": manifest(tracking={"credentialsSecret": "others"}),
    "claim-of-another-job": _claim("other-checkpoints"),
    "claim-of-a-database": manifest(model={"uri": "pvc://database/base"}),
    "export-over-a-database": manifest(export={"uri": "pvc://database/base"}),
    "no-network-policy": manifest(network={"policy": "None"}),
    "weak-isolation": manifest(verifier={"minimumIsolation": "none"}),
    "another-kernel": manifest(verifier={"runtimeClassName": "gvisor"}),
    "remote-with-variables": _remote("judge", "https://host/$(PRORL_POD_IP)"),
    "remote-in-the-cluster": _remote("judge", "http://kubernetes.default.svc/api"),
    "prompt-as-a-template": _data(systemPrompt="{{ .Values }} $(HOME) ${HOME} `id`"),
    "very-much-memory": _pod("coordinator", resources={"memory": "1024Ti"}),
}

ATTEMPTS: list[Attempt] = [
    *unknown_fields(),
    *(Attempt(id=k, manifest=document, refused=text) for k, (document, text) in _REFUSED.items()),
    *(Attempt(id=k, manifest=document) for k, document in _HARMLESS.items()),
]
