"""Looks at running coordinators outside of reconcile. A change enqueues the job's key."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

import aiohttp
from prorl_api.commands import Command
from prorl_api.wire import StatusDocument
from pydantic import ValidationError

from prorl_operator.plan.observed import Key

log = logging.getLogger("prorl_operator")

TIMEOUT = aiohttp.ClientTimeout(total=3.0)
LOOKS_AT_ONCE = 32
LONGEST_DOCUMENT = 256 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """A coordinator that runs."""

    uid: str
    ip: str
    token: str


class CoordinatorLink:
    """Keeps the last document of each job. That one is silent is normal: it may be starting."""

    def __init__(self, *, port: int, poll_s: float, changed: Callable[[Key], None]) -> None:
        self._port = port
        self._poll_s = poll_s
        self._changed = changed
        self._targets: dict[Key, Target] = {}
        self._documents: dict[Key, StatusDocument] = {}
        self._commands: dict[Key, tuple[Command, ...]] = {}
        self._refusing: set[Key] = set()
        self._refusals: dict[Key, set[tuple[str, int]]] = {}
        """ID of a command and HTTP status, of what has been logged."""

    def refuses(self, key: Key) -> bool:
        """Whether the coordinator does not know our token: its Secret is another key's."""
        return key in self._refusing

    def document(self, key: Key) -> StatusDocument | None:
        """The last one that was heard."""
        return self._documents.get(key)

    def follow(self, key: Key, target: Target | None) -> None:
        """None: the coordinator does not run; its last words stay."""
        if target is None:
            self._targets.pop(key, None)
            self._refusing.discard(key)
        else:
            self._targets[key] = target

    def ask(self, key: Key, commands: tuple[Command, ...]) -> None:
        """Said before every look, until it is asked for something else or nothing."""
        if commands:
            self._commands[key] = commands
        else:
            self._commands.pop(key, None)

    def forget(self, key: Key) -> None:
        """The job is gone."""
        self.follow(key, None)
        self.ask(key, ())
        self._documents.pop(key, None)
        self._refusals.pop(key, None)

    async def run(self) -> None:
        """Until cancelled."""
        gate = asyncio.Semaphore(LOOKS_AT_ONCE)
        async with aiohttp.ClientSession(timeout=TIMEOUT) as session:
            while True:
                targets = list(self._targets.items())
                await asyncio.gather(*(self._look(session, gate, *one) for one in targets))
                await asyncio.sleep(self._poll_s)

    async def _look(
        self, session: aiohttp.ClientSession, gate: asyncio.Semaphore, key: Key, target: Target
    ) -> None:
        async with gate:
            for command in self._commands.get(key, ()):
                await self._say(session, key, target, command)
            document = await self._fetch(session, key, target)
        if document is None or self._targets.get(key) != target:
            return
        if document.job_uid == target.uid and document != self._documents.get(key):
            self._documents[key] = document
            self._changed(key)

    async def _say(
        self, session: aiohttp.ClientSession, key: Key, target: Target, command: Command
    ) -> None:
        """A coordinator that does not answer is told again at the next look."""
        text = command.model_dump_json(by_alias=True)
        headers = _headers(target) | {"Content-Type": "application/json"}
        url = self._url(target, "commands")
        try:
            async with session.post(
                url, data=text, headers=headers, allow_redirects=False
            ) as answer:
                self._log_refusal(key, command, answer.status)
        except (aiohttp.ClientError, TimeoutError) as error:
            log.debug("coordinator silent namespace=%s job=%s error=%s", *key, error)

    def _log_refusal(self, key: Key, command: Command, status: int) -> None:
        """Once: it is said again at every look."""
        logged = self._refusals.setdefault(key, set())
        if status != 200 and (command.id, status) not in logged:
            logged.add((command.id, status))
            log.warning("command=%s refused namespace=%s job=%s status=%d",
                        command.kind, *key, status)  # fmt: skip

    def _url(self, target: Target, part: str) -> str:
        host = f"[{target.ip}]" if ":" in target.ip else target.ip
        return f"http://{host}:{self._port}/v1/{part}"

    async def _fetch(
        self, session: aiohttp.ClientSession, key: Key, target: Target
    ) -> StatusDocument | None:
        url = self._url(target, "status")
        try:
            async with session.get(url, headers=_headers(target), allow_redirects=False) as answer:
                self._note_refusal(key, target, refused=answer.status == 401)
                if answer.status != 200:
                    log.debug("coordinator namespace=%s job=%s status=%d", *key, answer.status)
                    return None
                return StatusDocument.model_validate_json(await _read(answer))
        except (aiohttp.ClientError, TimeoutError) as error:
            log.debug("coordinator silent namespace=%s job=%s error=%s", *key, error)
        except ValidationError as error:
            log.warning("coordinator not understood namespace=%s job=%s error=%s", *key, error)
        return None

    def _note_refusal(self, key: Key, target: Target, *, refused: bool) -> None:
        if self._targets.get(key) != target or refused is self.refuses(key):
            return
        (self._refusing.add if refused else self._refusing.discard)(key)
        log.warning("token refused=%s namespace=%s job=%s", refused, *key)
        self._changed(key)


def _headers(target: Target) -> dict[str, str]:
    return {"Authorization": f"Bearer {target.token}"}


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    """At most LONGEST_DOCUMENT bytes: what runs in a job's pod is not trusted with our memory."""
    text = b""
    async for chunk in answer.content.iter_chunked(65536):
        text += chunk
        if len(text) > LONGEST_DOCUMENT:
            raise aiohttp.ClientPayloadError(f"more than {LONGEST_DOCUMENT} bytes")
    return text
