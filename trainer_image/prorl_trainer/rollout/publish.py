"""One publication of weights: from the learners to a set of engines, all or named failures."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from prorl_trainer.errors import EngineLostError, TrainerLostError, WeightSyncError

log = logging.getLogger(__name__)

ATTEMPTS = 2
"""A failed session leaves the engines' layers unusable; one whole new session repairs them."""


class Publisher(Protocol):
    """The learners' end."""

    async def channel_address(self) -> tuple[str, int]:
        """A fresh (host, port)."""
        ...

    async def open_weight_channel(self, host: str, port: int, world_size: int) -> None:
        """Opens the channel for world_size - 1 engine workers."""
        ...

    async def weight_names(self) -> tuple[list[str], list[str], list[list[int]]]:
        """Names, dtypes and shapes in the order of sending."""
        ...

    async def send_weights(self) -> None:
        """Broadcasts once."""
        ...


class Subscriber(Protocol):
    """An engine's end."""

    @property
    def name(self) -> str:
        """See types.Engine."""
        ...

    async def init_weight_channel(self, host: str, port: int, rank: int, world_size: int) -> None:
        """Joins."""
        ...

    async def update_weights(
        self, names: list[str], dtypes: list[str], shapes: list[list[int]], version: str
    ) -> None:
        """Receives once."""
        ...


@dataclass(kw_only=True, slots=True)
class Channel:
    """The open channel: whom it connects. Opened anew when that changes."""

    members: tuple[str, ...] = ()
    generation: int = 0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


async def publish_weights(
    publisher: Publisher, engines: Sequence[Subscriber], version: str, channel: Channel
) -> None:
    """Every engine has the weights `version` afterwards. Raises WeightSyncError, EngineLostError
    (one engine is gone), TrainerLostError. One publication at a time."""
    if not engines:
        return
    async with channel.lock:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                await _session(publisher, engines, version, channel)
                return
            except (WeightSyncError, EngineLostError) as error:
                channel.members = ()
                if attempt == ATTEMPTS or isinstance(error, EngineLostError):
                    raise
                log.warning("weights version=%s attempt=%d failed: %s", version, attempt, error)


async def _session(
    publisher: Publisher, engines: Sequence[Subscriber], version: str, channel: Channel
) -> None:
    members = tuple(engine.name for engine in engines)
    if members != channel.members:
        await _open(publisher, engines, channel)
        channel.members = members
    names, dtypes, shapes = await publisher.weight_names()
    await _together(
        [publisher.send_weights()]
        + [engine.update_weights(names, dtypes, shapes, version) for engine in engines]
    )


async def _open(publisher: Publisher, engines: Sequence[Subscriber], channel: Channel) -> None:
    channel.generation += 1
    host, port = await publisher.channel_address()
    world_size = 1 + len(engines)
    await _together(
        [publisher.open_weight_channel(host, port, world_size)]
        + [
            engine.init_weight_channel(host, port, rank, world_size)
            for rank, engine in enumerate(engines, start=1)
        ]
    )


async def _together(calls: list) -> None:  # type: ignore[type-arg]
    """Runs all to their end; then raises the gravest error: a lost trainer, engine, others."""
    results = await asyncio.gather(*calls, return_exceptions=True)
    errors = [r for r in results if isinstance(r, BaseException)]
    for kind in (TrainerLostError, EngineLostError, BaseException):
        for error in errors:
            if isinstance(error, kind):
                raise error
