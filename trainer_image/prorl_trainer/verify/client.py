"""The client of the verification service: every completion gets one verdict, whatever happens."""

import asyncio
import logging
from collections.abc import Sequence

import aiohttp
from prorl_api.wire import (
    VerdictDocument,
    VerdictOutcome,
    VerifyItem,
    VerifyRequest,
    VerifyResponse,
)
from pydantic import ValidationError

from prorl_trainer.errors import DataError, UnauthorizedError, VerifierError
from prorl_trainer.types import Completion, Prompt, Verdict

log = logging.getLogger(__name__)

MAX_CONCURRENT_REQUESTS = 32
FIRST_DELAY_S = 0.2
MAX_DELAY_S = 5.0
INFRA_RETRIES = 1


class VerifierClient:
    """types.Verifier over HTTP."""

    def __init__(
        self, base_url: str, token: str, *, timeout_s: float = 120.0, budget_s: float = 300.0
    ) -> None:
        """timeout_s bounds one request, budget_s all retries of it."""
        self._url = f"{base_url}/v1/verify"
        self._ready_url = f"{base_url}/readyz"
        self._headers = {"Authorization": f"Bearer {token}"}
        self._timeout = aiohttp.ClientTimeout(total=timeout_s, connect=5)
        self._budget_s = budget_s
        self._slots = asyncio.Semaphore(MAX_CONCURRENT_REQUESTS)
        self._session: aiohttp.ClientSession | None = None
        self.infra_errors = 0
        """Completions that stayed unjudged so far."""

    async def verify(
        self, prompt: Prompt, completions: Sequence[Completion]
    ) -> tuple[Verdict, ...]:
        """See types.Verifier. Raises VerifierError, UnauthorizedError, DataError."""
        items = [_item(prompt, completion) for completion in completions]
        found = await self._judge(items)
        for _ in range(INFRA_RETRIES):
            again = [i for i in items if found[i.id].outcome is VerdictOutcome.INFRA_ERROR]
            if again:
                found |= await self._judge(again)
        verdicts = tuple(Verdict(score=found[i.id].score, reason=found[i.id].reason) for i in items)
        self.infra_errors += sum(v.score is None for v in verdicts)
        return verdicts

    async def close(self) -> None:
        """Closes the connections."""
        if self._session is not None:
            await self._session.close()

    async def _judge(self, items: list[VerifyItem]) -> dict[str, VerdictDocument]:
        body = VerifyRequest(items=items).model_dump_json(by_alias=True).encode()
        deadline = asyncio.get_running_loop().time() + self._budget_s
        delay = FIRST_DELAY_S
        while True:
            try:
                async with self._slots:
                    return _checked(items, await self._post(body))
            except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
                if asyncio.get_running_loop().time() + delay > deadline:
                    raise VerifierError(
                        f"The verifier {self._url} did not answer for {self._budget_s:.0f} s: "
                        f"{error!r}"
                    ) from error
                log.info("verifier is away, retry in %.1f s: %r", delay, error)
            await asyncio.sleep(delay)
            delay = min(2 * delay, MAX_DELAY_S)

    async def _post(self, body: bytes) -> bytes:
        if self._session is None:
            self._session = aiohttp.ClientSession(headers=self._headers, timeout=self._timeout)
        headers = {"Content-Type": "application/json"}
        async with self._session.post(self._url, data=body, headers=headers) as response:
            text = await response.read()
            if response.status == 401:
                raise UnauthorizedError("The verifier refuses the job's token.")
            if response.status == 400:
                raise DataError(f"The verifier refuses the batch: {text.decode(errors='replace')}")
            response.raise_for_status()
            return text


def _item(prompt: Prompt, completion: Completion) -> VerifyItem:
    return VerifyItem(
        id=completion.request_id,
        verifier=prompt.verifier,
        completion=completion.text,
        answer=prompt.answer,
        meta=prompt.meta,
    )


def _checked(items: Sequence[VerifyItem], body: bytes) -> dict[str, VerdictDocument]:
    """Raises VerifierError unless there is exactly one sound verdict per item."""
    try:
        response = VerifyResponse.model_validate_json(body)
    except ValidationError as error:
        raise VerifierError(f"The verifier's answer is malformed: {error}") from error
    found = {verdict.id: verdict for verdict in response.verdicts}
    if len(response.verdicts) != len(items) or found.keys() != {item.id for item in items}:
        raise VerifierError(
            f"The verifier gave {len(response.verdicts)} verdicts for {len(items)} completions."
        )
    for verdict in found.values():
        if (verdict.score is None) != (verdict.outcome is VerdictOutcome.INFRA_ERROR):
            raise VerifierError(
                f"Verdict {verdict.id} is {verdict.outcome} with score {verdict.score}."
            )
    return found
