"""ProRLJob: the table of contents of the API. Every block has its own module."""

import json
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from prorl_api.base import ApiModel, DnsLabel
from prorl_api.presets import with_preset
from prorl_api.spec_algorithm import AlgorithmSpec
from prorl_api.spec_failure import FailurePolicy
from prorl_api.spec_guard import GuardSpec
from prorl_api.spec_lifecycle import CheckpointSpec
from prorl_api.spec_model import DataSpec, ModelSpec
from prorl_api.spec_network import NetworkSpec
from prorl_api.spec_output import ExportSpec, TrackingSpec
from prorl_api.spec_reset import ReferenceResetSpec
from prorl_api.spec_roles import CoordinatorSpec, RolloutSpec, TrainerSpec, VerifierSpec
from prorl_api.spec_run_policy import RunPolicy
from prorl_api.spec_scheduling import OPERATOR, ManagedBy, SchedulingSpec
from prorl_api.status import ProRLJobStatus

JobName = Annotated[str, StringConstraints(max_length=40, pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$")]
"""Names of a job's objects are made from it: a pod's host name has 63 characters, and a Service's
name begins with a letter."""


class ProRLJobSpec(ApiModel):
    """The desired training run. What may change after creation is listed below."""

    suspend: bool = False
    """True saves a checkpoint, within checkpoint.gracePeriodSeconds, and takes away all pods; the
    job goes on from there when it is false again. A suspension that has begun is finished first."""

    managed_by: ManagedBy = OPERATOR
    """Who acts on the job. The operator leaves one with another value, such as
    `kueue.x-k8s.io/multikueue`, entirely alone."""
    image: (
        Annotated[
            str,
            StringConstraints(
                min_length=1, max_length=1024, pattern=r"^[A-Za-z0-9][A-Za-z0-9._/:@-]*$"
            ),
        ]
        | None
    ) = None
    """Trainer image of all roles; absent means the operator's default."""
    gpu_resource_name: Annotated[
        str, StringConstraints(max_length=253, pattern=r"^[a-z0-9.-]+/[a-zA-Z0-9._-]+$")
    ] = "nvidia.com/gpu"
    """Extended resource that stands for one GPU."""
    model: ModelSpec
    data: DataSpec
    algorithm: AlgorithmSpec = AlgorithmSpec()
    coordinator: CoordinatorSpec = CoordinatorSpec()
    trainer: TrainerSpec = TrainerSpec()
    rollout: RolloutSpec = RolloutSpec()
    verifier: VerifierSpec = VerifierSpec()
    checkpoint: CheckpointSpec = CheckpointSpec()
    reference_reset: ReferenceResetSpec = ReferenceResetSpec()
    guard: GuardSpec = GuardSpec()
    run_policy: RunPolicy = RunPolicy()
    failure_policy: FailurePolicy = FailurePolicy()
    scheduling: SchedulingSpec = SchedulingSpec()
    network: NetworkSpec = NetworkSpec()
    export: ExportSpec | None = None
    """Where the trained model goes; absent means nowhere (`prorl export` makes it later)."""
    tracking: TrackingSpec = TrackingSpec()

    @property
    def world_size(self) -> int:
        """Learner ranks of the job."""
        return self.trainer.replicas * max(1, self.trainer.gpus_per_replica)


class Metadata(ApiModel):
    """The part of ObjectMeta that the job's code reads; other keys are kept out of it."""

    name: JobName
    namespace: DnsLabel = "default"
    uid: Annotated[str, StringConstraints(max_length=64)] = ""
    generation: int = 0


class ProRLJob(ApiModel):
    """One prolonged reinforcement-learning run of one language model."""

    api_version: Literal["prorl.dev/v1alpha1"] = "prorl.dev/v1alpha1"
    kind: Literal["ProRLJob"] = "ProRLJob"
    metadata: Metadata
    spec: ProRLJobSpec
    status: Annotated[ProRLJobStatus | None, Field(exclude_if=lambda s: s is None)] = None


def parse_job(manifest: dict[str, Any]) -> ProRLJob:
    """Reads an API server's answer, the preset's values filled in: unknown metadata keys are
    dropped, the rest is strict.

    Raises pydantic.ValidationError.
    """
    return ProRLJob.model_validate(_resolved(manifest))


def _resolved(manifest: dict[str, Any]) -> dict[str, Any]:
    keep = {k: v for k, v in manifest.get("metadata", {}).items() if k in _METADATA_KEYS}
    resolved = {**manifest, "metadata": keep}
    return resolved | {"spec": with_preset(manifest["spec"])} if "spec" in manifest else resolved


_METADATA_KEYS = ("name", "namespace", "uid", "generation")


def parse_job_strictly(manifest_json: str) -> ProRLJob:
    """As parse_job, with the types exactly as admission wants them: no "5" for 5, no 1 for true.

    Raises pydantic.ValidationError.
    """
    text = json.dumps(_resolved(json.loads(manifest_json)))
    return ProRLJob.model_validate_json(text, strict=True)
