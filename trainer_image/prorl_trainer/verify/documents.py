"""What is sent to the verification service and what may come back: pure."""

from collections.abc import Sequence

from prorl_api.wire import (
    VerdictDocument,
    VerdictOutcome,
    VerifyItem,
    VerifyRequest,
    VerifyResponse,
)
from pydantic import ValidationError

from prorl_trainer.errors import VerifierError
from prorl_trainer.types import Completion, Prompt


def build_item(prompt: Prompt, completion: Completion) -> VerifyItem:
    """The completion with what it is judged against."""
    return VerifyItem(
        id=completion.request_id,
        verifier=prompt.verifier,
        completion=completion.text,
        answer=prompt.answer,
        meta=prompt.meta,
    )


def build_body(items: Sequence[VerifyItem]) -> bytes:
    """The request for these items, as JSON."""
    return VerifyRequest(items=list(items)).model_dump_json(by_alias=True).encode()


def parse_answer(body: bytes) -> VerifyResponse:
    """Raises VerifierError."""
    try:
        return VerifyResponse.model_validate_json(body)
    except ValidationError as error:
        raise VerifierError(f"The verifier's answer is malformed: {error}") from error


def unjudged(identifier: str, reason: str) -> VerdictDocument:
    """Of a completion that no verifier has taken."""
    return VerdictDocument(
        id=identifier, outcome=VerdictOutcome.INFRA_ERROR, score=None, reason=reason
    )


def verdicts_of(
    items: Sequence[VerifyItem], response: VerifyResponse
) -> dict[str, VerdictDocument]:
    """Verdicts by id; some may be missing. Raises VerifierError unless there is at most one sound
    verdict per item."""
    asked = {item.id for item in items}
    found: dict[str, VerdictDocument] = {}
    for verdict in response.verdicts:
        if verdict.id not in asked:
            raise VerifierError(f"The verifier judged {verdict.id}, which was not asked for.")
        if verdict.id in found:
            raise VerifierError(f"The verifier judged {verdict.id} twice.")
        if (verdict.score is None) != (verdict.outcome is VerdictOutcome.INFRA_ERROR):
            raise VerifierError(
                f"Verdict {verdict.id} is {verdict.outcome} with score {verdict.score}."
            )
        found[verdict.id] = verdict
    return found
