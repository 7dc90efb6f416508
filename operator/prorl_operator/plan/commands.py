"""What a running coordinator is told of the spec: what has changed, and its request tokens.

The operator remembers nothing. A coordinator says which generation is in force; a token that status
does not echo is sent, again and again: the same token is the same command, which is carried out
once.
"""

from dataclasses import replace
from typing import TypeVar

from prorl_api.commands import Command, CommandKind, CommandState, configure, request
from prorl_api.live import live_of
from prorl_api.status import CheckpointStatus, ProRLJobStatus, ReferenceStatus

from prorl_operator.plan.observed import Observed
from prorl_operator.plan.progress import Training

Echo = TypeVar("Echo", CheckpointStatus, ReferenceStatus)


def wanted_commands(observed: Observed, status: ProRLJobStatus) -> tuple[Command, ...]:
    """What the coordinator is to be told of the spec."""
    document, live = observed.live_document, live_of(observed.job)
    changed = document is not None and document.generation < live.generation
    return (*((configure(live),) if changed else ()), *_open_requests(observed, status))


def _open_requests(observed: Observed, status: ProRLJobStatus) -> tuple[Command, ...]:
    """What the spec asks for and status does not echo yet."""
    spec = observed.job.spec
    asked = (
        (CommandKind.CHECKPOINT, spec.checkpoint.request_token, status.checkpoint),
        (CommandKind.RESET_REFERENCE, spec.reference_reset.request_token, status.reference),
    )
    return tuple(
        request(kind, token)
        for kind, token, echo in asked
        if token is not None and token != (echo.observed_token if echo else None)
    )


def with_observed_tokens(training: Training, observed: Observed) -> Training:
    """Echoes the tokens whose result is durable; what was echoed before stays until then."""
    spec, stored = observed.job.spec, observed.stored or ProRLJobStatus()
    saved = _if_done(observed, CommandKind.CHECKPOINT, spec.checkpoint.request_token)
    made = _if_done(observed, CommandKind.RESET_REFERENCE, spec.reference_reset.request_token)
    return replace(
        training,
        checkpoint=_echoing(training.checkpoint, saved, stored.checkpoint),
        reference=_echoing(training.reference, made, stored.reference),
    )


def _if_done(observed: Observed, kind: CommandKind, token: str | None) -> str | None:
    """The token, once the coordinator has done what it asks for."""
    document = observed.live_document
    if token is None or document is None:
        return None
    done = {result.id for result in document.commands if result.state is CommandState.DONE}
    return token if request(kind, token).id in done else None


def _echoing(found: Echo | None, token: str | None, stored: Echo | None) -> Echo | None:
    if found is None:
        return None
    before = stored.observed_token if stored else None
    return found.model_copy(update={"observed_token": token or before})
