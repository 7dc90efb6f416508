"""One publication of weights: from the learners to a set of engines, all or named failures."""

import asyncio
import logging
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from prorl_trainer.errors import EngineLostError, TrainerLostError, WeightSyncError
from prorl_trainer.rollout.backend import EMBEDDING, HEAD, Announcement, Channel

log = logging.getLogger(__name__)

ATTEMPTS = 2
"""A failed session leaves the engines' layers unusable; one whole new session repairs them."""
SESSION_SECONDS = 600.0
"""A collective on a GPU has no timeout of its own."""


class Publisher(Protocol):
    """The learners' end."""

    async def channel(self, world_size: int) -> Channel:
        """A fresh channel for world_size - 1 engine workers."""
        ...

    async def open_weight_channel(self, channel: Channel) -> None:
        """Waits for the engine workers."""
        ...

    async def announce_weights(self) -> Announcement:
        """What the next update will bring."""
        ...

    async def send_weights(self) -> None:
        """Sends once."""
        ...

    async def weight_checksums(self) -> dict[str, str]:
        """Name -> sha256 of what is sent."""
        ...

    async def release_weights(self) -> None:
        """The engines have what was announced."""
        ...


class Subscriber(Protocol):
    """An engine's end."""

    @property
    def name(self) -> str:
        """See protocols.Engine."""
        ...

    async def init_weight_channel(self, channel: Channel, rank: int) -> None:
        """Joins."""
        ...

    async def update_weights(self, announcement: Announcement, version: str) -> None:
        """Pauses, then receives once. Generation stays paused."""
        ...

    async def weight_checksums(self, announcement: Announcement) -> dict[str, str]:
        """Name -> sha256 of what the engine computes with."""
        ...

    async def resume(self) -> None:
        """Goes on generating, with the new weights."""
        ...


@dataclass(kw_only=True, slots=True)
class Publication:
    """What outlasts a session. The channel is opened anew when its members change."""

    verify: bool = False
    """Compare checksums before generation goes on."""
    timeout_s: float = SESSION_SECONDS
    members: tuple[str, ...] = ()
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


async def publish_weights(
    publisher: Publisher, engines: Sequence[Subscriber], version: str, publication: Publication
) -> None:
    """Every engine has the weights `version` afterwards. Raises WeightSyncError, EngineLostError
    (one engine is gone), TrainerLostError. One publication at a time."""
    if not engines:
        return
    async with publication.lock:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                await _session(publisher, engines, version, publication)
                return
            except (WeightSyncError, EngineLostError) as error:
                publication.members = ()
                if attempt == ATTEMPTS or isinstance(error, EngineLostError):
                    raise
                log.warning("weights version=%s attempt=%d failed: %s", version, attempt, error)


async def _session(
    publisher: Publisher, engines: Sequence[Subscriber], version: str, publication: Publication
) -> None:
    """Engines go on only after all of it: one that resumed with half an update would die, and one
    that resumed with wrong weights would write what must not be learned from."""
    members = tuple(engine.name for engine in engines)
    if members != publication.members:
        await _open(publisher, engines, publication)
        publication.members = members
    announcement = await publisher.announce_weights()
    calls = {engine.name: engine.update_weights(announcement, version) for engine in engines}
    sending = publisher.send_weights() if announcement.handles is None else None
    await _together(calls, sending, publication.timeout_s)
    if announcement.handles is not None:
        await publisher.release_weights()
    if publication.verify:
        await _verify(publisher, engines, announcement, version, publication)
    resuming = {engine.name: engine.resume() for engine in engines}
    await _together(resuming, None, publication.timeout_s)


async def _open(
    publisher: Publisher, engines: Sequence[Subscriber], publication: Publication
) -> None:
    channel = await publisher.channel(1 + len(engines))
    joining = {
        engine.name: engine.init_weight_channel(channel, rank)
        for rank, engine in enumerate(engines, start=1)
    }
    await _together(joining, publisher.open_weight_channel(channel), publication.timeout_s)


async def _verify(
    publisher: Publisher,
    engines: Sequence[Subscriber],
    announcement: Announcement,
    version: str,
    publication: Publication,
) -> None:
    asked = {engine.name: engine.weight_checksums(announcement) for engine in engines}
    found = await _together(asked, None, publication.timeout_s)
    sent = await publisher.weight_checksums()
    for name, checksums in found.items():
        refuse_other(sent, checksums, engine=name, version=version)


def refuse_other(
    sent: Mapping[str, str], found: Mapping[str, str], *, engine: str, version: str
) -> None:
    """Raises WeightSyncError naming the first tensor that differs or is missing. An engine's own
    copy of a tied head must be the embedding."""
    expected = dict(sent)
    if HEAD in found and EMBEDDING in sent:
        expected.setdefault(HEAD, sent[EMBEDDING])
    wrong = [name for name, digest in expected.items() if found.get(name) != digest]
    if wrong:
        raise WeightSyncError(
            f"{engine} does not have the weights {version} that it was sent: {len(wrong)} of "
            f"{len(expected)} tensors differ, the first is {wrong[0]}."
        )


async def _together(
    of_engines: Mapping[str, Coroutine[Any, Any, Any]],
    of_learners: Coroutine[Any, Any, None] | None,
    timeout_s: float,
) -> dict[str, Any]:
    """Runs all to their end; then raises the gravest error: a lost trainer, engine, others.
    Whoever does not come to an end is lost too."""
    engines = {name: asyncio.ensure_future(call) for name, call in of_engines.items()}
    learners = None if of_learners is None else asyncio.ensure_future(of_learners)
    tasks = [*engines.values(), *([] if learners is None else [learners])]
    try:
        _, pending = await asyncio.wait(tasks, timeout=timeout_s)
    finally:
        for task in tasks:
            task.cancel()
    reason = f"a weight session did not end within {timeout_s:.0f} s"
    if learners in pending:
        raise TrainerLostError(f"A learner rank hangs: {reason}.")
    for name, task in engines.items():
        if task in pending:
            raise EngineLostError(name, reason)
    _raise_gravest([error for task in tasks if (error := task.exception()) is not None])
    return {name: task.result() for name, task in engines.items()}


def _raise_gravest(errors: Sequence[BaseException]) -> None:
    for kind in (TrainerLostError, EngineLostError, BaseException):
        for error in errors:
            if isinstance(error, kind):
                raise error
