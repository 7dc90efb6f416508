"""The pydantic base of every API type, and the string types they share."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

GROUP = "prorl.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "ProRLJob"

ShortText = Annotated[str, StringConstraints(min_length=1, max_length=253)]
"""A name or an enumeration-like text of at most 253 characters, the limit of a Kubernetes name."""

Uri = Annotated[str, StringConstraints(min_length=1, max_length=2048)]

DnsLabel = Annotated[
    str, StringConstraints(max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
]

Quantity = Annotated[
    str,
    StringConstraints(
        max_length=32,
        pattern=r"^([0-9]+)(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti)?$",
    ),
]
"""A Kubernetes resource quantity such as 500m, 2, 4Gi."""

PositiveInt = Annotated[int, Field(ge=1)]


class ApiModel(BaseModel):
    """Immutable, camelCase on the wire, snake_case in Python; unknown keys are errors."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )
