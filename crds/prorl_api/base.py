"""The pydantic base of every API type, and the string types they share."""

from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
)
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

SecretName = Annotated[
    str, StringConstraints(max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
]

QUANTITY_PATTERN = r"^([0-9]+)(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti)?$"


def _integer_as_text(value: Any) -> Any:
    """`cpu: 1` means `cpu: "1"`, as everywhere in Kubernetes."""
    is_count = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return str(value) if is_count else value


Quantity = Annotated[
    str,
    StringConstraints(max_length=32, pattern=QUANTITY_PATTERN),
    BeforeValidator(_integer_as_text),
    WithJsonSchema(
        {
            "x-kubernetes-int-or-string": True,
            "minimum": 0,
            "maxLength": 32,
            "pattern": QUANTITY_PATTERN,
        }
    ),
]
"""A Kubernetes resource quantity such as 500m, 2, 4Gi."""

Id = Annotated[str, StringConstraints(min_length=1, max_length=128)]

RequestToken = Annotated[
    str, StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._:+-]+$")
]
"""Asks for one action: whenever it is set to a value that the job has not had before."""

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
