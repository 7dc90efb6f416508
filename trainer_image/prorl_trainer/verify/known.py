"""Whether the verification service has the verifiers that the data sets name."""

import asyncio
import logging

import aiohttp
from prorl_api.job import ProRLJobSpec
from prorl_api.spec_model import DataSet, VerifierName
from pydantic import BaseModel, ValidationError

from prorl_trainer.errors import ConfigError, UnauthorizedError, VerifierError, close_matches

log = logging.getLogger(__name__)

PATIENCE_S = 1800.0
"""As for the trainers: its pods may have to wait for a node and pull their image."""
PAUSE_S = 1.0
REQUEST_S = 10.0


class Known(BaseModel):
    """Answer of GET /v1/verifiers."""

    verifiers: list[str]


async def check_verifiers(
    spec: ProRLJobSpec, url: str, token: str, *, patience_s: float = PATIENCE_S
) -> None:
    """Waits for the service only where a set names a verifier that not every service has.

    Raises ConfigError naming set and verifier, UnauthorizedError, VerifierError."""
    custom = [one for one in _sets(spec) if one.verifier not in (None, *VerifierName)]
    if not custom:
        return
    known = await _known(f"{url}/v1/verifiers", token, patience_s)
    for dataset in custom:
        if dataset.verifier not in known:
            raise ConfigError(
                f"Data set {dataset.name}: the verification service has no verifier "
                f"{dataset.verifier}{close_matches(dataset.verifier or '', known)}"
            )


def _sets(spec: ProRLJobSpec) -> list[DataSet]:
    return [*spec.data.train, *(spec.data.validation.sets if spec.data.validation else [])]


async def _known(url: str, token: str, patience_s: float) -> list[str]:
    clock = asyncio.get_running_loop().time
    deadline = clock() + patience_s
    timeout = aiohttp.ClientTimeout(total=REQUEST_S)
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(timeout=timeout, headers=headers) as session:
        while True:
            try:
                return await _ask(session, url)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                if clock() > deadline:
                    raise VerifierError(
                        f"{url} did not answer for {patience_s:.0f} s: {error!r}"
                    ) from error
                log.info("verifier is away: %r", error)
            await asyncio.sleep(PAUSE_S)


async def _ask(session: aiohttp.ClientSession, url: str) -> list[str]:
    async with session.get(url) as response:
        if response.status == 401:
            raise UnauthorizedError("The verifier refuses the job's token.")
        if response.status >= 500:
            response.raise_for_status()
        try:
            return Known.model_validate_json(await response.read()).verifiers
        except ValidationError as error:
            raise VerifierError(
                f"{url} is no verifier's, it answers {response.status}: {error}"
            ) from error
