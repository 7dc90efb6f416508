"""What is durable: spec.checkpoint."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints, WithJsonSchema

from prorl_api.base import ApiModel, DnsLabel, Quantity, RequestToken, ShortText, Uri


class Resume(StrEnum):
    """What a start beside existing checkpoints does."""

    LATEST = "Latest"
    """Go on from the newest checkpoint that verifies; start fresh only where there is none."""
    NONE = "None"
    """Start fresh; refused when checkpoints exist, so that none is ever overwritten."""


ResumeFrom = Annotated[
    Resume | Annotated[int, Field(ge=0, le=1_000_000, strict=True)],
    WithJsonSchema(
        {
            "x-kubernetes-int-or-string": True,
            "minimum": 0,
            "maximum": 1_000_000,
            "maxLength": 6,
            "pattern": "^(Latest|None)$",
        }
    ),
]


class PvcStorage(ApiModel):
    """A PersistentVolumeClaim: an existing one by name, or one made for the job."""

    claim_name: DnsLabel | None = None
    """An existing claim in the job's namespace (ReadWriteMany for more than one node)."""
    size: Quantity | None = None
    """Size of a claim to be made; it is named after the job and outlives it."""
    storage_class: ShortText | None = None
    """Storage class of the claim to be made; absent means the cluster's default."""

    def claim_of(self, job_name: str) -> str:
        """The existing claim, or the name of the one made for the job."""
        return self.claim_name or f"{job_name}-checkpoints"


BucketUri = Annotated[
    Uri,
    StringConstraints(
        pattern=r"^s3://[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._=+-]*)+$"
    ),
]


class CheckpointStorage(ApiModel):
    """Where checkpoints live. Local mode uses ./runs/NAME instead."""

    uri: BucketUri | None = None
    """`s3://BUCKET/PREFIX`: checkpoints go to PREFIX/NAME/checkpoints of any store with the S3
    interface and conditional writes, with the AWS keys of data.credentialsSecret. The claim keeps
    the rest: the initial model, downloaded data and metrics."""
    pvc: PvcStorage = PvcStorage(size="50Gi")

    def checkpoints_uri(self, job_name: str) -> str:
        """Where a user finds the job's checkpoints."""
        place = self.uri or f"pvc://{self.pvc.claim_of(job_name)}"
        return f"{place}/{job_name}/checkpoints"


class CheckpointSpec(ApiModel):
    """Durable state."""

    storage: CheckpointStorage = CheckpointStorage()
    every_steps: Annotated[int, Field(ge=1, le=100_000)] = 10
    """RL steps between two checkpoints; one is always made at the last step and on a stop."""
    every_seconds: Annotated[int, Field(ge=10, le=604_800)] | None = None
    """Also one at the end of the first step that ends so long after the last one was begun: it
    bounds what a crash can cost where steps are long, or become longer."""
    keep: Annotated[int, Field(ge=2, le=1000)] = 2
    """Newest checkpoints kept; at least 2 so that a corrupt one has a predecessor."""
    keep_best: Annotated[int, Field(ge=0, le=100)] = 1
    """Checkpoints kept besides them for their held-out accuracy: the last ones that were the best
    when they were made. Every new best makes one, the initial model's included; 0 keeps none."""
    resume: ResumeFrom = Resume.LATEST
    """What a job does that finds checkpoints and has made none of them yet. Latest: it goes on from
    the newest one that verifies, or starts where there is none. None: it starts afresh, and is
    refused beside any. A number: it goes on from the checkpoint of that step, which must be there;
    later ones are set aside, not deleted. Once it has a checkpoint of its own, that is Latest."""
    grace_period_seconds: Annotated[int, Field(ge=5, le=3600)] = 60
    """Time that a pod of coordinator or trainer gets to save between SIGTERM and SIGKILL."""
    request_token: RequestToken | None = None
    """Change it to have a checkpoint made after the step in progress, once
    (`prorl checkpoint NAME`)."""


LIVE_CHECKPOINT = ("every_steps", "every_seconds", "keep", "keep_best", "request_token")
"""What may change while the run goes on."""
