"""The agent's side of the coordinator's HTTP API."""

import logging
from typing import TypeVar

import aiohttp
from prorl_api.wire import Notice, NoticeResult, StatusDocument
from pydantic import ValidationError

from prorl_trainer.errors import TrainingError, UnauthorizedError

log = logging.getLogger(__name__)

TIMEOUT_S = 3.0
Document = TypeVar("Document", StatusDocument, NoticeResult)


class CoordinatorLink:
    """Short calls without retries: the caller calls again. Use as `async with`."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._session = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {token}"},
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
        )
        self._reached = True

    async def __aenter__(self) -> "CoordinatorLink":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def status(self) -> StatusDocument | None:
        """None while the coordinator cannot be reached. Raises UnauthorizedError."""
        body = await self._call("GET", "/v1/status", None)
        return None if body is None else _parse(StatusDocument, body)

    async def notice(self, notice: Notice) -> NoticeResult | None:
        """None while the coordinator cannot be reached. Raises UnauthorizedError."""
        body = await self._call("POST", "/v1/notices", notice.model_dump_json(by_alias=True))
        return None if body is None else _parse(NoticeResult, body)

    async def _call(self, method: str, path: str, data: str | None) -> bytes | None:
        url = f"{self._url}{path}"
        try:
            async with self._session.request(method, url, data=data) as response:
                body = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self._log_change(False, f"{type(error).__name__}: {error}")
            return None
        if response.status == 401:
            raise UnauthorizedError(
                f"The coordinator at {self._url} refuses this pod's API token: the pods of the "
                "job do not share the same Secret."
            )
        if response.status >= 500:
            self._log_change(False, f"HTTP {response.status}")
            return None
        if response.status != 200:
            text = body.decode(errors="replace")[:500]
            raise TrainingError(f"{method} {url} was answered with {response.status}: {text}")
        self._log_change(True, "")
        return body

    def _log_change(self, reached: bool, reason: str) -> None:
        if reached != self._reached:
            log.info("coordinator=%s reached=%s %s", self._url, reached, reason)
        self._reached = reached


def _parse(model: type[Document], body: bytes) -> Document:
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise TrainingError(
            f"The coordinator's answer is no {model.__name__}: {error.errors()[0]['msg']}. Do all "
            "pods run the same image?"
        ) from error
