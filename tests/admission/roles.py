"""Roles, their pods and the model; blocks and values of a wrong form.

id -> spec; of refused ones, the path of the field that is named first."""

from typing import Any

from manifests import dataset

ACCEPTED: dict[str, dict[str, Any]] = {
    "least": {},
    "empty-blocks": {"algorithm": {}, "trainer": {"pod": {}}, "checkpoint": {"storage": {}}},
    "null-is-absent": {"trainer": None, "image": None},
    "cpu-as-number": {"trainer": {"pod": {"resources": {"cpu": 2, "memory": "1Gi"}}}},
    "cpu-in-millis": {"verifier": {"pod": {"resources": {"cpu": "250m"}}}},
    "revision-of-hf": {"model": {"uri": "hf://o/n", "revision": "abc"}},
    "remote-verifier": {
        "verifier": {"remotes": [{"name": "judge", "url": "https://h.example:8443/v1?a=b"}]}
    },
    "tolerations": {"rollout": {"pod": {"tolerations": [{"operator": "Exists"}]}}},
    "node-selector": {"rollout": {"pod": {"nodeSelector": {"a.b/c": "d", "e": ""}}}},
}

REFUSED: dict[str, tuple[str, dict[str, Any]]] = {
    "unknown-block": ("spec.rolout", {"rolout": {}}),
    "unknown-field": ("spec.algorithm.stepz", {"algorithm": {"stepz": 1}}),
    "unknown-in-list": ("spec.data.train[0].urI", {"data": {"train": [dataset(urI="x")]}}),
    "text-for-integer": ("spec.algorithm.steps", {"algorithm": {"steps": "5"}}),
    "fraction-for-integer": ("spec.algorithm.steps", {"algorithm": {"steps": 1.5}}),
    "bool-for-integer": ("spec.algorithm.steps", {"algorithm": {"steps": True}}),
    "text-for-bool": (
        "spec.algorithm.dynamicSampling.enabled",
        {"algorithm": {"dynamicSampling": {"enabled": "yes"}}},
    ),
    "list-for-mapping": ("spec.trainer", {"trainer": []}),
    "mapping-for-list": ("spec.data.train", {"data": {"train": {}}}),
    "staleness-too-much": ("spec.rollout.maxStaleness", {"rollout": {"maxStaleness": 2}}),
    "min-replicas": ("spec.rollout.minReplicas", {"rollout": {"minReplicas": 3, "replicas": 2}}),
    "no-replicas": ("spec.rollout.replicas", {"rollout": {"replicas": 0}}),
    "engine": ("spec.rollout.engine", {"rollout": {"engine": "sglang"}}),
    "two-gpus-per-engine": ("spec.rollout.gpusPerReplica", {"rollout": {"gpusPerReplica": 2}}),
    "model-without-uri": ("spec.model.uri", {"model": {}}),
    "model-scheme": ("spec.model.uri", {"model": {"uri": "s3://b/k"}}),
    "revision-of-tiny": ("spec.model.revision", {"model": {"uri": "tiny://l", "revision": "x"}}),
    "remote-with-an-own-name": (
        "spec.verifier.remotes[0].name",
        {"verifier": {"remotes": [{"name": "stem", "url": "http://h/"}]}},
    ),
    "remote-twice": (
        "spec.verifier.remotes[1]",
        {"verifier": {"remotes": [{"name": "a", "url": "http://h/"}] * 2}},
    ),
    "remote-with-a-password": (
        "spec.verifier.remotes[0].url",
        {"verifier": {"remotes": [{"name": "a", "url": "http://me:secret@h/"}]}},
    ),
    "quantity": (
        "spec.trainer.pod.resources.memory",
        {"trainer": {"pod": {"resources": {"memory": "4 GB"}}}},
    ),
    "negative-quantity": (
        "spec.trainer.pod.resources.cpu",
        {"trainer": {"pod": {"resources": {"cpu": -1}}}},
    ),
    "fractional-quantity": (
        "spec.trainer.pod.resources.cpu",
        {"trainer": {"pod": {"resources": {"cpu": 0.5}}}},
    ),
    "label-key": (
        "spec.rollout.pod.nodeSelector",
        {"rollout": {"pod": {"nodeSelector": {"a b": "c"}}}},
    ),
    "label-value": (
        "spec.rollout.pod.nodeSelector",
        {"rollout": {"pod": {"nodeSelector": {"a": "b c"}}}},
    ),
    "gpu-resource": ("spec.gpuResourceName", {"gpuResourceName": "gpu"}),
}
