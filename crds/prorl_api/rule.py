"""What a rule over several fields is. The list of all of them is in rules.py."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from prorl_api.job import ProRLJobSpec

Finding = tuple[str, str]
"""Field path and message."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """One rule, as CEL for admission and as Python for `prorl validate`."""

    path: str
    """Dotted path below the root, e.g. `spec.rollout`; `[]` stands for the items of a list."""
    field: str = ""
    """The field below `path` to blame; empty blames the node."""
    cel: str
    say: str
    """CEL expression of the message."""
    meaning: str
    """One sentence for the documentation, and the message where `say` cannot be evaluated."""
    check: Callable[[ProRLJobSpec], Iterator[Finding]]
