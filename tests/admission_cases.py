"""Manifests and their verdicts: one table for prorl validate and for the API server."""

import copy
from dataclasses import dataclass
from typing import Any

GYM = "gym://reasoning-gym/spell_backward?size=10"


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """`refused_at` is a field path that must be named; None: accepted."""

    id: str
    manifest: dict[str, Any]
    refused_at: str | None = None


def manifest(name: str = "case", **spec: Any) -> dict[str, Any]:
    """A valid job, with top-level blocks of its spec replaced."""
    base: dict[str, Any] = {"model": {"uri": "tiny://llama"}, "data": {"train": [dataset()]}}
    return {
        "apiVersion": "prorl.dev/v1alpha1",
        "kind": "ProRLJob",
        "metadata": {"name": name},
        "spec": copy.deepcopy(base | spec),
    }


def dataset(**fields: Any) -> dict[str, Any]:
    """A valid training set."""
    return {"name": "a", "domain": "logic", "uri": GYM} | fields


def code_set(**fields: Any) -> dict[str, Any]:
    """A training set of code rows; `uri` is missing."""
    return {"name": "a", "domain": "code"} | fields


def _with_metadata(**fields: Any) -> dict[str, Any]:
    return manifest() | {"metadata": {"name": "case"} | fields}


def _pvc(**fields: Any) -> dict[str, Any]:
    return {"storage": {"pvc": fields}}


def _rules(*rules: dict[str, Any]) -> dict[str, Any]:
    return {"failurePolicy": {"rules": list(rules)}}


_ACCEPTED: dict[str, dict[str, Any]] = {
    "least": {},
    "managed-elsewhere": {"managedBy": "kueue.x-k8s.io/multikueue"},
    "queued": {"scheduling": {"queueName": "team", "priorityClassName": "high"}},
    "queued-as-a-gang": {"scheduling": {"queueName": "team", "gang": "Kueue"}},
    "sixteen-failure-rules": _rules(
        *[
            {
                "roles": ["coordinator", "trainer", "rollout", "verifier"],
                "onExitCodes": [1, 2, 14, 126, 129, 137, 192] * 4,
                "action": "RestartTrainers",
                "count": False,
            }
        ]
        * 16
    ),
    "failure-rules": _rules(
        {"onReasons": ["OOMKilled", "PreemptionByScheduler"], "action": "FailJob"},
        {"roles": ["rollout"], "onExitCodes": [139], "action": "ReplacePod", "count": True},
        {"onReasons": ["Storage"], "action": "Ignore"},
    ),
    "every-bound-of-the-run": {
        "runPolicy": {
            "maxRestarts": 0,
            "backoff": {"baseSeconds": 1, "maxSeconds": 59},
            "pendingDeadlineSeconds": 60,
            "activeDeadlineSeconds": 86400,
            "stallSeconds": 60,
            "onStall": "Restart",
            "ttlSecondsAfterFinished": 0,
            "keepPods": "None",
            "evictions": "Refused",
        }
    },
    "pending-deadline-after-the-backoff": {"runPolicy": {"pendingDeadlineSeconds": 301}},
    "empty-blocks": {"algorithm": {}, "trainer": {"pod": {}}, "checkpoint": {"storage": {}}},
    "null-is-absent": {"trainer": None, "image": None},
    "cpu-as-number": {"trainer": {"pod": {"resources": {"cpu": 2, "memory": "1Gi"}}}},
    "cpu-in-millis": {"verifier": {"pod": {"resources": {"cpu": "250m"}}}},
    "claim": {"checkpoint": _pvc(claimName="claim")},
    "checkpoints-in-a-bucket": {"checkpoint": {"storage": {"uri": "s3://runs/team"}}},
    "resume-at-a-step": {"checkpoint": {"resume": 40, "everySeconds": 600}},
    "resume-at-step-zero": {"checkpoint": {"resume": 0}},
    "resume-none": {"checkpoint": {"resume": "None"}},
    "size-and-class": {"checkpoint": _pvc(size="1Gi", storageClass="fast")},
    "export-to-a-claim": {"export": {"uri": "pvc://models/run/final", "dtype": "float32"}},
    "trackers": {
        "tracking": {
            "wandb": {"project": "a b", "url": "https://w.example"},
            "mlflow": {"uri": "http://mlflow:5000", "experiment": "e"},
            "trackio": {"project": "p", "space": "o/n"},
            "credentialsSecret": "trackers",
        }
    },
    "export-to-s3": {"export": {"uri": "s3://bucket/run-1/final"}},
    "integer-for-a-number": {"algorithm": {"learningRate": 1}},
    "revision-of-hf": {"model": {"uri": "hf://o/n", "revision": "abc"}},
    "logic-with-math-verify": {
        "data": {"train": [dataset(uri="file:///x.jsonl", verifier="math-verify")]}
    },
    "stem-from-a-file": {"data": {"train": [dataset(domain="stem", uri="file:///x.jsonl")]}},
    "instruction-from-a-file": {
        "data": {"train": [dataset(domain="instruction", uri="pvc://claim/x.parquet")]}
    },
    "instruction-from-a-gym": {"data": {"train": [dataset(domain="instruction")]}},
    "code-from-a-gym": {"data": {"train": [dataset(domain="code")]}},
    "code-from-a-file": {"data": {"train": [code_set(uri="file:///x.parquet")]}},
    "pinned-hf-data": {
        "data": {
            "train": [code_set(uri="hf://datasets/o/n/data/train-*.parquet", revision="a" * 40)]
        }
    },
    "http-data-with-hash": {"data": {"train": [code_set(uri="http://h/x.jsonl", sha256="a" * 64)]}},
    "https-data-with-a-query": {
        "data": {"train": [code_set(uri="https://h:8443/x.jsonl?v=1&w=2")]}
    },
    "verl-layout-with-an-own-column": {
        "data": {
            "train": [
                code_set(uri="s3://bucket/x.parquet", layout="verl", columns={"prompt": "a b.c-d"})
            ],
            "credentialsSecret": "s3.keys",
            "onOverlap": "Drop",
        }
    },
    "prompt-as-it-is": {"data": {"train": [dataset(chatTemplate="None")]}},
    "system-prompt": {"data": {"train": [dataset(systemPrompt="Think.")]}},
    "logic-with-stem": {"data": {"train": [dataset(uri="file:///x.jsonl", verifier="stem")]}},
    "custom-verifier-of-a-gym": {"data": {"train": [dataset(verifier="own-1")]}},
    "custom-verifier-with-meta": {
        "data": {
            "train": [
                dataset(
                    uri="file:///x.jsonl", verifier="own", columns={"meta": ["data_source", "b c"]}
                )
            ]
        }
    },
    "remote-verifier": {
        "verifier": {"remotes": [{"name": "judge", "url": "https://h.example:8443/v1?a=b"}]}
    },
    "stem-with-instruction": {
        "data": {"train": [dataset(domain="stem", uri="file:///x.jsonl", verifier="instruction")]}
    },
    "math-from-a-file": {"data": {"train": [dataset(domain="math", uri="file:///x.jsonl")]}},
    "validation": {"data": {"train": [dataset()], "validation": {"sets": [dataset(name="b")]}}},
    "tolerations": {"rollout": {"pod": {"tolerations": [{"operator": "Exists"}]}}},
    "node-selector": {"rollout": {"pod": {"nodeSelector": {"a.b/c": "d", "e": ""}}}},
    "one-sample-without-baseline": {
        "algorithm": {
            "samplesPerPrompt": 1,
            "advantage": {"estimator": "reinforce++", "normalisation": "sequence"},
            "dynamicSampling": {"enabled": False},
        }
    },
    "one-sample-unfiltered-by-preset": {
        "algorithm": {
            "preset": "grpo",
            "samplesPerPrompt": 1,
            "advantage": {"estimator": "reinforce++"},
        }
    },
    "preset-grpo": {"algorithm": {"preset": "grpo", "kl": {"coefficient": 0.1}}},
    "preset-v1": {"algorithm": {"preset": "prorl-v1"}},
    "preset-dapo-with-a-buffer": {
        "algorithm": {"preset": "dapo", "lengthPenalty": {"overlong": {"bufferTokens": 8192}}}
    },
    "terms-switched-off": {
        "algorithm": {
            "preset": "dapo",
            "lengthPenalty": {"stopProperly": {"coefficient": 1}, "overlong": {"factor": 0}},
        }
    },
    "overlong-without-buffer": {"algorithm": {"lengthPenalty": {"overlong": {"factor": 2}}}},
    "dual-clip": {"algorithm": {"clip": {"dual": 3}}},
    "kl-estimator": {"algorithm": {"kl": {"estimator": "k3"}}},
    "mismatch": {"algorithm": {"mismatchCorrection": {"type": "tis", "low": 0, "high": 3}}},
    "length-terms": {
        "algorithm": {
            "lengthPenalty": {
                "cosine": {},
                "stopProperly": {},
                "overlong": {"bufferTokens": 8192},
            }
        }
    },
    "reset-more-often-than-the-gap": {"referenceReset": {"everySteps": 15}},
    "reset-rules": {
        "referenceReset": {
            "everySteps": 0,
            "minGapSteps": 0,
            "klSpike": {"enabled": False, "absolute": 0.5},
            "stall": {"evals": 3, "minDelta": 0},
            "optimizer": "Clear",
            "rewarmSteps": 0,
        }
    },
    "reset-to-the-best": {
        "data": {"train": [dataset()], "validation": {"sets": [dataset(name="b")]}},
        "referenceReset": {"newReference": "Best"},
    },
    "guard": {
        "guard": {
            "nonFinite": 1,
            "klAbove": 1,
            "entropyBelow": 0.2,
            "truncationAbove": 0.5,
            "consecutive": 3,
            "action": "Pause",
            "maxRollbacks": 1,
        }
    },
    "pass-k": {
        "data": {
            "train": [dataset()],
            "validation": {"samplesPerPrompt": 8, "passK": [1, 8], "sets": [dataset(name="b")]},
        }
    },
    "updates-equal-prompts": {"algorithm": {"promptsPerStep": 4, "updatesPerStep": 4}},
}

_REFUSED: dict[str, tuple[str, dict[str, Any]]] = {
    "managed-by-nobody": ("spec.managedBy", {"managedBy": ""}),
    "managed-by-a-name-without-a-domain": ("spec.managedBy", {"managedBy": "operator"}),
    "a-gang-without-a-queue": ("spec.scheduling.gang", {"scheduling": {"gang": "Kueue"}}),
    "a-queue-with-a-dot": ("spec.scheduling.queueName", {"scheduling": {"queueName": "a.b"}}),
    "an-unknown-gang": (
        "spec.scheduling.gang",
        {"scheduling": {"gang": "Posse", "queueName": "a"}},
    ),
    "failure-rule-about-nothing": (
        "spec.failurePolicy.rules[0]",
        _rules({"action": "FailJob"}),
    ),
    "failure-rule-about-two-things": (
        "spec.failurePolicy.rules[1]",
        _rules(
            {"action": "FailJob", "onReasons": ["A"]},
            {"action": "FailJob", "onReasons": ["A"], "onExitCodes": [1]},
        ),
    ),
    "failure-rule-with-an-unknown-code": (
        "spec.failurePolicy.rules[0].onExitCodes",
        _rules({"action": "ReplacePod", "onExitCodes": [14, 42, 137]}),
    ),
    "failure-rule-about-success": (
        "spec.failurePolicy.rules[0].onExitCodes[0]",
        _rules({"action": "ReplacePod", "onExitCodes": [0]}),
    ),
    "failure-rule-that-counts-a-failed-job": (
        "spec.failurePolicy.rules[0].count",
        _rules({"action": "FailJob", "onExitCodes": [1], "count": False}),
    ),
    "failure-rule-without-an-action": (
        "spec.failurePolicy.rules[0].action",
        _rules({"onExitCodes": [1]}),
    ),
    "failure-rule-for-poets": (
        "spec.failurePolicy.rules[0].roles[0]",
        _rules({"action": "Ignore", "onExitCodes": [1], "roles": ["poet"]}),
    ),
    "seventeen-failure-rules": (
        "spec.failurePolicy.rules",
        _rules(*[{"action": "Ignore", "onReasons": ["A"]}] * 17),
    ),
    "backoff-that-shrinks": (
        "spec.runPolicy.backoff.baseSeconds",
        {"runPolicy": {"backoff": {"baseSeconds": 31, "maxSeconds": 30}}},
    ),
    "pending-deadline-within-the-backoff": (
        "spec.runPolicy.pendingDeadlineSeconds",
        {"runPolicy": {"pendingDeadlineSeconds": 300}},
    ),
    "pending-deadline-of-a-blink": (
        "spec.runPolicy.pendingDeadlineSeconds",
        {"runPolicy": {"pendingDeadlineSeconds": 59}},
    ),
    "no-time-at-all": (
        "spec.runPolicy.activeDeadlineSeconds",
        {"runPolicy": {"activeDeadlineSeconds": 0}},
    ),
    "stalled-at-once": ("spec.runPolicy.stallSeconds", {"runPolicy": {"stallSeconds": 59}}),
    "gone-before-the-end": (
        "spec.runPolicy.ttlSecondsAfterFinished",
        {"runPolicy": {"ttlSecondsAfterFinished": -1}},
    ),
    "evictions-by-request": ("spec.runPolicy.evictions", {"runPolicy": {"evictions": "Never"}}),
    "keeps-failed-pods": ("spec.runPolicy.keepPods", {"runPolicy": {"keepPods": "Failed"}}),
    "explodes-on-a-stall": ("spec.runPolicy.onStall", {"runPolicy": {"onStall": "Explode"}}),
    "spike-factor-one": (
        "spec.referenceReset.klSpike.factor",
        {"referenceReset": {"klSpike": {"factor": 1}}},
    ),
    "stall-of-none": (
        "spec.referenceReset.stall.evals",
        {"referenceReset": {"stall": {"evals": 0}}},
    ),
    "new-reference": (
        "spec.referenceReset.newReference",
        {"referenceReset": {"newReference": "Latest"}},
    ),
    "best-without-validation": (
        "spec.referenceReset.newReference",
        {"referenceReset": {"newReference": "Best"}},
    ),
    "best-that-is-not-kept": (
        "spec.referenceReset.newReference",
        {
            "data": {"train": [dataset()], "validation": {"sets": [dataset(name="b")]}},
            "referenceReset": {"newReference": "Best"},
            "checkpoint": {"keepBest": 0},
        },
    ),
    "guard-action": ("spec.guard.action", {"guard": {"action": "Explode"}}),
    "guard-of-all-completions": (
        "spec.guard.truncationAbove",
        {"guard": {"truncationAbove": 1}},
    ),
    "guard-of-no-step": ("spec.guard.consecutive", {"guard": {"consecutive": 0}}),
    "pass-k-over-the-samples": (
        "spec.data.validation.passK",
        {
            "data": {
                "train": [dataset()],
                "validation": {"samplesPerPrompt": 4, "passK": [1, 8], "sets": [dataset(name="b")]},
            }
        },
    ),
    "no-pass-k": (
        "spec.data.validation.passK",
        {
            "data": {
                "train": [dataset()],
                "validation": {"passK": [], "sets": [dataset(name="b")]},
            }
        },
    ),
    "unknown-block": ("spec.rolout", {"rolout": {}}),
    "unknown-field": ("spec.algorithm.stepz", {"algorithm": {"stepz": 1}}),
    "unknown-in-list": ("spec.data.train[0].urI", {"data": {"train": [dataset(urI="x")]}}),
    "tracker-without-a-project": ("spec.tracking.wandb.project", {"tracking": {"wandb": {}}}),
    "export-outside-its-claim": ("spec.export.uri", {"export": {"uri": "pvc://c/../x"}}),
    "text-for-integer": ("spec.algorithm.steps", {"algorithm": {"steps": "5"}}),
    "fraction-for-integer": ("spec.algorithm.steps", {"algorithm": {"steps": 1.5}}),
    "bool-for-integer": ("spec.algorithm.steps", {"algorithm": {"steps": True}}),
    "text-for-bool": (
        "spec.algorithm.dynamicSampling.enabled",
        {"algorithm": {"dynamicSampling": {"enabled": "yes"}}},
    ),
    "list-for-mapping": ("spec.trainer", {"trainer": []}),
    "mapping-for-list": ("spec.data.train", {"data": {"train": {}}}),
    "zero-steps": ("spec.algorithm.steps", {"algorithm": {"steps": 0}}),
    "too-many-steps": ("spec.algorithm.steps", {"algorithm": {"steps": 1_000_001}}),
    "learning-rate-zero": ("spec.algorithm.learningRate", {"algorithm": {"learningRate": 0}}),
    "clip-low-one": ("spec.algorithm.clip.low", {"algorithm": {"clip": {"low": 1}}}),
    "dual-clip-one": ("spec.algorithm.clip.dual", {"algorithm": {"clip": {"dual": 1}}}),
    "kl-estimator-k4": ("spec.algorithm.kl.estimator", {"algorithm": {"kl": {"estimator": "k4"}}}),
    "mismatch-low": (
        "spec.algorithm.mismatchCorrection.low",
        {"algorithm": {"mismatchCorrection": {"low": 1.5}}},
    ),
    "cosine-upside-down": (
        "spec.algorithm.lengthPenalty.cosine.etaMin",
        {"algorithm": {"lengthPenalty": {"cosine": {"etaMin": 0}}}},
    ),
    "cosine-too-heavy": (
        "spec.algorithm.lengthPenalty.cosine.weight",
        {"algorithm": {"lengthPenalty": {"cosine": {"etaMax": 1, "weight": 0.5}}}},
    ),
    "stop-properly-over-one": (
        "spec.algorithm.lengthPenalty.stopProperly.coefficient",
        {"algorithm": {"lengthPenalty": {"stopProperly": {"coefficient": 1.5}}}},
    ),
    "preset": ("spec.algorithm.preset", {"algorithm": {"preset": "ppo"}}),
    "normalisation-without-effect-by-preset": (
        "spec.algorithm.advantage.normalisation",
        {"algorithm": {"preset": "dapo", "advantage": {"normalisation": "sequence"}}},
    ),
    "one-sample-by-preset": (
        "spec.algorithm.samplesPerPrompt",
        {"algorithm": {"preset": "grpo", "samplesPerPrompt": 1}},
    ),
    "one-sample-filtered-by-preset": (
        "spec.algorithm.dynamicSampling",
        {
            "algorithm": {
                "preset": "dapo",
                "samplesPerPrompt": 1,
                "advantage": {"estimator": "reinforce++"},
            }
        },
    ),
    "overlong-buffer-over-the-cap": (
        "spec.algorithm.lengthPenalty",
        {"algorithm": {"lengthPenalty": {"overlong": {"bufferTokens": 8193}}}},
    ),
    "temperature": (
        "spec.algorithm.sampling.temperature",
        {"algorithm": {"sampling": {"temperature": 2.5}}},
    ),
    "advantage": (
        "spec.algorithm.advantage.estimator",
        {"algorithm": {"advantage": {"estimator": "gae"}}},
    ),
    "normalisation-without-effect": (
        "spec.algorithm.advantage.normalisation",
        {"algorithm": {"advantage": {"estimator": "rloo", "normalisation": "sequence"}}},
    ),
    "oversample-without-effect": (
        "spec.algorithm.dynamicSampling.oversample",
        {"algorithm": {"dynamicSampling": {"enabled": False, "oversample": 1.5}}},
    ),
    "oversample-too-much": (
        "spec.algorithm.dynamicSampling.oversample",
        {"algorithm": {"dynamicSampling": {"oversample": 4.5}}},
    ),
    "staleness-too-much": ("spec.rollout.maxStaleness", {"rollout": {"maxStaleness": 2}}),
    "one-sample-filtered": (
        "spec.algorithm.dynamicSampling",
        {"algorithm": {"samplesPerPrompt": 1, "advantage": {"estimator": "reinforce++"}}},
    ),
    "negative-seed": ("spec.algorithm.seed", {"algorithm": {"seed": -1}}),
    "one-sample": ("spec.algorithm.samplesPerPrompt", {"algorithm": {"samplesPerPrompt": 1}}),
    "more-updates-than-prompts": (
        "spec.algorithm.updatesPerStep",
        {"algorithm": {"promptsPerStep": 2, "updatesPerStep": 3}},
    ),
    "min-replicas": ("spec.rollout.minReplicas", {"rollout": {"minReplicas": 3, "replicas": 2}}),
    "no-replicas": ("spec.rollout.replicas", {"rollout": {"replicas": 0}}),
    "engine": ("spec.rollout.engine", {"rollout": {"engine": "sglang"}}),
    "two-gpus-per-engine": ("spec.rollout.gpusPerReplica", {"rollout": {"gpusPerReplica": 2}}),
    "model-without-uri": ("spec.model.uri", {"model": {}}),
    "model-scheme": ("spec.model.uri", {"model": {"uri": "s3://b/k"}}),
    "revision-of-tiny": ("spec.model.revision", {"model": {"uri": "tiny://l", "revision": "x"}}),
    "no-data": ("spec.data.train", {"data": {}}),
    "empty-train": ("spec.data.train", {"data": {"train": []}}),
    "same-name-twice": ("spec.data.train[1]", {"data": {"train": [dataset(), dataset()]}}),
    "same-name-in-validation": (
        "spec.data",
        {"data": {"train": [dataset()], "validation": {"sets": [dataset()]}}},
    ),
    "set-name": ("spec.data.train[0].name", {"data": {"train": [dataset(name="A b")]}}),
    "domain": ("spec.data.train[0].domain", {"data": {"train": [dataset(domain="art")]}}),
    "logic-from-a-file": (
        "spec.data.train[0].verifier",
        {"data": {"train": [dataset(uri="file:///x.jsonl")]}},
    ),
    "instruction-verifier-for-a-gym": (
        "spec.data.train[0].verifier",
        {"data": {"train": [dataset(verifier="instruction")]}},
    ),
    "gym-verifier-for-stem-rows": (
        "spec.data.train[0].verifier",
        {
            "data": {
                "train": [dataset(domain="stem", uri="file:///x.jsonl", verifier="reasoning-gym")]
            }
        },
    ),
    "verifier": (
        "spec.data.train[0].verifier",
        {"data": {"train": [dataset(verifier="My_Judge")]}},
    ),
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
    "meta-of-a-gym": (
        "spec.data.train[0].layout",
        {"data": {"train": [dataset(verifier="own", columns={"meta": ["a"]})]}},
    ),
    "gym-verifier-for-a-file": (
        "spec.data.validation.sets[0].verifier",
        {
            "data": {
                "train": [dataset()],
                "validation": {
                    "sets": [
                        dataset(
                            name="b", domain="math", uri="file:///x.jsonl", verifier="reasoning-gym"
                        )
                    ]
                },
            }
        },
    ),
    "data-of-an-unknown-kind": (
        "spec.data.train[0].uri",
        {"data": {"train": [code_set(uri="pvc://claim/x.csv")]}},
    ),
    "data-with-its-kind-in-the-query": (
        "spec.data.train[0].uri",
        {"data": {"train": [code_set(uri="https://h/download?name=x.jsonl")]}},
    ),
    "code-verifier-for-a-gym": (
        "spec.data.train[0].verifier",
        {"data": {"train": [dataset(verifier="code")]}},
    ),
    "hf-data-without-revision": (
        "spec.data.train[0].revision",
        {"data": {"train": [code_set(uri="hf://datasets/o/n/x.parquet")]}},
    ),
    "hf-data-at-a-branch": (
        "spec.data.train[0].revision",
        {"data": {"train": [code_set(uri="hf://datasets/o/n/x.parquet", revision="main")]}},
    ),
    "revision-of-a-file": (
        "spec.data.train[0].revision",
        {"data": {"train": [code_set(uri="file:///x.parquet", revision="a" * 40)]}},
    ),
    "http-data-without-hash": (
        "spec.data.train[0].sha256",
        {"data": {"train": [code_set(uri="http://h/x.jsonl")]}},
    ),
    "hash-of-a-gym": ("spec.data.train[0].sha256", {"data": {"train": [dataset(sha256="a" * 64)]}}),
    "hash-in-capitals": (
        "spec.data.train[0].sha256",
        {"data": {"train": [code_set(uri="file:///x.jsonl", sha256="A" * 64)]}},
    ),
    "layout-of-a-gym": ("spec.data.train[0].layout", {"data": {"train": [dataset(layout="verl")]}}),
    "columns-of-a-gym": (
        "spec.data.train[0].layout",
        {"data": {"train": [dataset(columns={"answer": "a"})]}},
    ),
    "layout": ("spec.data.train[0].layout", {"data": {"train": [dataset(layout="openrlhf")]}}),
    "column-with-two-dots": (
        "spec.data.train[0].columns.answer",
        {"data": {"train": [code_set(uri="file:///x.jsonl", columns={"answer": "a..b"})]}},
    ),
    "data-scheme": (
        "spec.data.train[0].uri",
        {"data": {"train": [code_set(uri="gs://b/k.jsonl")]}},
    ),
    "hf-model-as-data": (
        "spec.data.train[0].uri",
        {"data": {"train": [code_set(uri="hf://o/n/x.jsonl", revision="a" * 40)]}},
    ),
    "chat-template": (
        "spec.data.train[0].chatTemplate",
        {"data": {"train": [dataset(chatTemplate="none")]}},
    ),
    "system-prompt-without-template": (
        "spec.data.train[0].systemPrompt",
        {"data": {"train": [dataset(chatTemplate="None", systemPrompt="Think.")]}},
    ),
    "long-system-prompt": (
        "spec.data.train[0].systemPrompt",
        {"data": {"train": [dataset(systemPrompt="x" * 8193)]}},
    ),
    "on-overlap": ("spec.data.onOverlap", {"data": {"train": [dataset()], "onOverlap": "Warn"}}),
    "secret-name": (
        "spec.data.credentialsSecret",
        {"data": {"train": [dataset()], "credentialsSecret": "a/b"}},
    ),
    "weight": ("spec.data.train[0].weight", {"data": {"train": [dataset(weight=0)]}}),
    "claim-and-size": (
        "spec.checkpoint.storage.pvc",
        {"checkpoint": _pvc(claimName="c", size="1Gi")},
    ),
    "neither-claim-nor-size": ("spec.checkpoint.storage.pvc", {"checkpoint": _pvc()}),
    "bucket-without-prefix": (
        "spec.checkpoint.storage.uri",
        {"checkpoint": {"storage": {"uri": "s3://runs"}}},
    ),
    "checkpoints-elsewhere": (
        "spec.checkpoint.storage.uri",
        {"checkpoint": {"storage": {"uri": "gs://runs/team"}}},
    ),
    "class-of-a-claim": (
        "spec.checkpoint.storage.pvc.storageClass",
        {"checkpoint": _pvc(claimName="c", storageClass="fast")},
    ),
    "resume-at-a-quoted-step": ("spec.checkpoint.resume", {"checkpoint": {"resume": "40"}}),
    "resume-before-the-start": ("spec.checkpoint.resume", {"checkpoint": {"resume": -1}}),
    "resume-somewhere": ("spec.checkpoint.resume", {"checkpoint": {"resume": "Newest"}}),
    "resume-true": ("spec.checkpoint.resume", {"checkpoint": {"resume": True}}),
    "a-save-every-second": ("spec.checkpoint.everySeconds", {"checkpoint": {"everySeconds": 1}}),
    "keep-one": ("spec.checkpoint.keep", {"checkpoint": {"keep": 1}}),
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

CASES: tuple[Case, ...] = (
    *(Case(id=key, manifest=manifest(**spec)) for key, spec in _ACCEPTED.items()),
    *(
        Case(id=key, manifest=manifest(**spec), refused_at=path)
        for key, (path, spec) in _REFUSED.items()
    ),
    Case(id="name-of-40", manifest=manifest("a" * 40)),
    Case(id="name-of-41", manifest=manifest("a" * 41), refused_at="metadata.name"),
    Case(id="name-with-a-digit-first", manifest=manifest("7b"), refused_at="metadata.name"),
    Case(id="name-with-a-dot", manifest=manifest("a.b"), refused_at="metadata.name"),
    Case(
        id="labels-and-annotations",
        manifest=_with_metadata(labels={"a": "b"}, annotations={"a": "b"}),
    ),
    Case(
        id="unknown-metadata",
        manifest=_with_metadata(lables={"a": "b"}),
        refused_at="metadata.lables",
    ),
    Case(
        id="number-for-a-label",
        manifest=_with_metadata(labels={"a": 1}),
        refused_at="metadata.labels",
    ),
    Case(
        id="no-spec",
        manifest={k: v for k, v in manifest().items() if k != "spec"},
        refused_at="spec",
    ),
)
