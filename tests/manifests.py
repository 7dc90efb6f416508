"""Builders of jobs as a user writes them."""

import copy
from typing import Any

GYM = "gym://reasoning-gym/spell_backward?size=10"


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
