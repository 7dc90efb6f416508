"""Request tokens: what a coordinator is asked once, and what status says of it.

The operator remembers nothing: a token that status does not echo is sent, again and again; the same
token is the same command, which the coordinator carries out once.
"""

from dataclasses import replace
from typing import TypeVar

from prorl_api.status import CheckpointStatus, ProRLJobStatus, ReferenceStatus
from prorl_api.wire import Command, CommandKind, CommandState, request

from prorl_operator.plan.observed import Observed
from prorl_operator.plan.progress import Training

Echo = TypeVar("Echo", CheckpointStatus, ReferenceStatus)


def open_requests(observed: Observed, status: ProRLJobStatus) -> tuple[Command, ...]:
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
