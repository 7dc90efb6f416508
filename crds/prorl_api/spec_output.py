"""What a run leaves outside its own storage: spec.export."""

from enum import StrEnum
from typing import Annotated

from pydantic import StringConstraints

from prorl_api.base import ApiModel, Uri

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
