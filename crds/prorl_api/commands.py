"""What may be asked of a running coordinator: POST /v1/commands, Command -> CommandResult."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field, model_validator

from prorl_api.base import ApiModel, Id
from prorl_api.job import ProRLJobSpec
from prorl_api.live import LiveSpec

MAX_COMMANDS = 16
"""Results that a status document has, those of the newest."""


class CommandKind(StrEnum):
    """What may be asked of a running coordinator."""

    CHECKPOINT = "Checkpoint"
    """Save at the next safe point, which is between two steps."""
    RESET_REFERENCE = "ResetReference"
    """Reset the reference after a step, in the checkpoint that is made then."""
    CONFIGURE = "Configure"
    """Take over `live` at the next safe point, unless it is older than what is in force."""
    STOP = "Stop"
    """Save at the next safe point, then end with exit code STOPPED."""
    RESUME = "Resume"
    """Go on after a pause by spec.guard; Failed when there is none."""


class Command(ApiModel):
    """POST /v1/commands."""

    id: Id
    kind: CommandKind
    live: Annotated[LiveSpec | None, Field(exclude_if=lambda live: live is None)] = None

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> "Command":
        if (self.kind is CommandKind.CONFIGURE) != (self.live is not None):
            raise ValueError("live belongs to Configure, and to no other kind")
        return self


def request(kind: CommandKind, token: str) -> Command:
    """What a request token asks for: the same token is the same command."""
    return Command(id=f"{kind}-{token}", kind=kind)


def configure(live: LiveSpec) -> Command:
    """Hands over what has changed in the spec, once per generation."""
    return Command(
        id=f"{CommandKind.CONFIGURE}-{live.generation}", kind=CommandKind.CONFIGURE, live=live
    )


def requests_of(spec: ProRLJobSpec) -> list[Command]:
    """What the spec's request tokens ask for."""
    asked = (
        (CommandKind.CHECKPOINT, spec.checkpoint.request_token),
        (CommandKind.RESET_REFERENCE, spec.reference_reset.request_token),
    )
    return [request(kind, token) for kind, token in asked if token is not None]


class CommandState(StrEnum):
    """Progress of a command."""

    ACCEPTED = "Accepted"
    DONE = "Done"
    FAILED = "Failed"


class CommandResult(ApiModel):
    """Answer to a command; POST the same command again to poll."""

    id: Id
    state: CommandState
    step: int | None = None
    """The step that is durable because of the command."""
    message: str = ""
