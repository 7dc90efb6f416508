"""One JSON text per value, so that hashes and comparisons are stable."""

import hashlib
import json
from typing import Any

from prorl_api.job import ProRLJob, ProRLJobSpec
from prorl_api.spec_algorithm import AlgorithmSpec
from prorl_api.spec_failure import FailurePolicy
from prorl_api.spec_guard import GuardSpec
from prorl_api.spec_lifecycle import LIVE_CHECKPOINT, CheckpointSpec
from prorl_api.spec_network import NetworkSpec
from prorl_api.spec_output import TrackingSpec
from prorl_api.spec_roles import CoordinatorSpec, RolloutSpec, TrainerSpec, VerifierSpec
from prorl_api.spec_run_policy import RunPolicy
from prorl_api.spec_scheduling import OPERATOR, SchedulingSpec
from prorl_api.wire import JobDocument


def dumps(value: Any) -> str:
    """Canonical JSON: sorted keys, no spaces, no NaN. Raises ValueError for a non-finite number."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def spec_hash(spec: ProRLJobSpec) -> str:
    """sha256 of the canonical JSON of what the immutable spec says beyond the defaults.

    Defaults are left out so that a field which a later version adds, with a default that changes
    nothing, does not make a running job's checkpoints another job's.
    """
    # What may change while the job runs is no part of the spec's identity; nor is where it runs.
    rollout = spec.rollout.model_copy(
        update={name: getattr(RolloutSpec(), name) for name in ("replicas", "pod")}
    )
    # `resume` too: a job made anew has to fit the checkpoints of the one before.
    checkpoint = spec.checkpoint.model_copy(
        update={name: getattr(CheckpointSpec(), name) for name in (*LIVE_CHECKPOINT, "resume")}
    )
    algorithm = spec.algorithm.model_copy(update={"steps": AlgorithmSpec().steps})
    reset = spec.reference_reset.model_copy(update={"request_token": None})
    fixed = spec.model_copy(
        update={
            "suspend": False,
            "coordinator": CoordinatorSpec(),
            "trainer": spec.trainer.model_copy(update={"pod": TrainerSpec().pod}),
            "rollout": rollout,
            "verifier": spec.verifier.model_copy(update={"pod": VerifierSpec().pod}),
            "checkpoint": checkpoint,
            "algorithm": algorithm,
            "reference_reset": reset,
            "guard": GuardSpec(),
            "run_policy": RunPolicy(),
            "failure_policy": FailurePolicy(),
            "managed_by": OPERATOR,
            "scheduling": SchedulingSpec(),
            "network": NetworkSpec(),
            "export": None,
            "tracking": TrackingSpec(),
        }
    )
    text = dumps(fixed.model_dump(mode="json", by_alias=True, exclude_defaults=True))
    return hashlib.sha256(text.encode()).hexdigest()


def job_document(job: ProRLJob) -> JobDocument:
    """The resolved job that the trainer image runs."""
    meta = job.metadata
    return JobDocument(
        name=meta.name,
        namespace=meta.namespace,
        uid=meta.uid,
        spec=job.spec,
        hash=spec_hash(job.spec),
        generation=meta.generation,
    )
