"""What a run leaves outside its own storage: spec.export and spec.tracking."""

from enum import StrEnum
from typing import Annotated

from pydantic import StringConstraints

from prorl_api.base import ApiModel, SecretName, Uri

ExportUri = Annotated[
    Uri,
    StringConstraints(
        pattern=r"^(file:///|pvc://|s3://)[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._=+-]*)*$"
    ),
]


class ExportDtype(StrEnum):
    """The number format of exported weights."""

    BFLOAT16 = "bfloat16"
    FLOAT32 = "float32"


class ExportSpec(ApiModel):
    """The trained model in Hugging Face format, written after the last step."""

    uri: ExportUri
    """Directory to be made: `pvc://CLAIM/PATH`, `s3://BUCKET/PREFIX`, or `file:///PATH` with
    `prorl run`. It must not exist, unless it is this very job's export."""
    dtype: ExportDtype = ExportDtype.BFLOAT16
    """Number format of the weights; training keeps float32."""


ProjectName = Annotated[
    str, StringConstraints(max_length=128, pattern=r"^[A-Za-z0-9][A-Za-z0-9._ -]*$")
]
HttpUrl = Annotated[
    Uri, StringConstraints(pattern=r"^https?://[A-Za-z0-9._:-]+(/[A-Za-z0-9._/-]*)?$")
]
SpaceName = Annotated[
    str, StringConstraints(max_length=200, pattern=r"^[A-Za-z0-9._-]+/[A-Za-z0-9._-]+$")
]


class WandbSpec(ApiModel):
    """Weights & Biases; needs the extra `wandb`."""

    project: ProjectName
    entity: ProjectName | None = None
    """User or team; absent means the key's default."""
    url: HttpUrl | None = None
    """A server of your own."""
    offline: bool = False
    """Write files below trackers/ of the run's directory, for `wandb sync` later."""


class MlflowSpec(ApiModel):
    """MLflow; needs the extra `mlflow`."""

    uri: Annotated[Uri, StringConstraints(pattern=r"^(https?://|file:///)[A-Za-z0-9._:/-]+$")]
    """Tracking server; `file:///PATH` (with `prorl run`, and MLFLOW_ALLOW_FILE_STORE=true) is a
    local store."""
    experiment: ProjectName
    """Made if it is missing."""


class TrackioSpec(ApiModel):
    """Trackio; needs the extra `trackio`. Without url and space the database is
    trackers/trackio/PROJECT.db in the run's directory."""

    project: ProjectName
    url: HttpUrl | None = None
    """A Trackio server of your own."""
    space: SpaceName | None = None
    """A Hugging Face Space, OWNER/NAME; needs HF_TOKEN from data.credentialsSecret."""


class TrackingSpec(ApiModel):
    """Trackers beside metrics.jsonl and TensorBoard, which are always there. The run's id is the
    job's UID, so that a resumed run goes on with its curve. Training never waits for a tracker."""

    wandb: WandbSpec | None = None
    mlflow: MlflowSpec | None = None
    trackio: TrackioSpec | None = None
    credentials_secret: SecretName | None = None
    """A Secret in the job's namespace. Of its keys WANDB_API_KEY, MLFLOW_TRACKING_TOKEN,
    MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD become environment variables of the
    coordinator; the operator never reads it. `prorl run` takes those of its own environment."""
