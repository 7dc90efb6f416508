"""How a job runs, saves, resets, is guarded and ends.

id -> spec; of refused ones, the path of the field that is named first."""

from typing import Any

from manifests import dataset


def _pvc(**fields: Any) -> dict[str, Any]:
    return {"storage": {"pvc": fields}}


def _rules(*rules: dict[str, Any]) -> dict[str, Any]:
    return {"failurePolicy": {"rules": list(rules)}}


ACCEPTED: dict[str, dict[str, Any]] = {
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
}

REFUSED: dict[str, tuple[str, dict[str, Any]]] = {
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
    "tracker-without-a-project": ("spec.tracking.wandb.project", {"tracking": {"wandb": {}}}),
    "export-outside-its-claim": ("spec.export.uri", {"export": {"uri": "pvc://c/../x"}}),
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
}
