"""Whether an object on the API server already is as it should be."""

from collections.abc import Mapping
from typing import Any


def covers(actual: Any, wanted: Any) -> bool:
    """Every field of `wanted` has its value in `actual`, which may hold more."""
    if isinstance(wanted, Mapping):
        return isinstance(actual, Mapping) and all(
            key in actual and covers(actual[key], value) for key, value in wanted.items()
        )
    if isinstance(wanted, list):
        return (
            isinstance(actual, list)
            and len(actual) == len(wanted)
            and all(covers(a, w) for a, w in zip(actual, wanted, strict=True))
        )
    return bool(actual == wanted)
