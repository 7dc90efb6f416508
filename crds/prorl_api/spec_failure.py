"""What follows from the end of a pod: spec.failurePolicy."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from prorl_api.base import ApiModel
from prorl_api.spec_roles import Role

ExitNumber = Annotated[int, Field(ge=1, le=255)]
ReasonWord = Annotated[
    str, StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z][A-Za-z0-9_]*$")
]


class FailureAction(StrEnum):
    """What the operator does."""

    FAIL_JOB = "FailJob"
    """The job has failed."""
    RESTART_TRAINERS = "RestartTrainers"
    """The pod is replaced, and every trainer pod that was there when it ended."""
    REPLACE_POD = "ReplacePod"
    """The pod is replaced."""
    IGNORE = "Ignore"
    """The pod is replaced and its end is no failure."""


class FailureRule(ApiModel):
    """One rule: which ends, and what follows."""

    roles: Annotated[list[Role], Field(max_length=4)] = []
    """Empty: all."""
    on_exit_codes: Annotated[list[ExitNumber], Field(min_length=1, max_length=32)] | None = None
    """Exit codes of the trainer image, or 128 and the number of a signal (137: killed). A pod that
    was told to go has none that counts."""
    on_reasons: Annotated[list[ReasonWord], Field(min_length=1, max_length=32)] | None = None
    """Of the container (OOMKilled), of its final word (Storage), or of a disruption
    (EvictionByEvictionAPI, Deleted)."""
    action: FailureAction
    count: bool | None = None
    """Whether RestartTrainers and ReplacePod are charged to runPolicy.maxRestarts, with the
    backoff of a failure; absent: yes. A disruption never is."""

    @property
    def counts(self) -> bool:
        """The end is a failure."""
        charged = (FailureAction.RESTART_TRAINERS, FailureAction.REPLACE_POD)
        return self.action in charged and self.count is not False


class FailurePolicy(ApiModel):
    """Exceptions from what the operator does when a pod ends. May be changed at any time."""

    rules: Annotated[list[FailureRule], Field(max_length=16)] = []
    """The first that matches decides; else the default: docs/lifecycle.md, and for the exit codes
    of the coordinator the table at the end of docs/api.md. A coordinator that ends with 0 has
    always succeeded."""
