"""An engine in a Ray actor, and its proxy on the driver."""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import ray
from prorl_api import runtime
from prorl_api.spec_roles import EngineKind
from ray.exceptions import RayActorError, RayTaskError

from prorl_trainer.errors import EngineLostError, TrainingError
from prorl_trainer.rollout.backend import Announcement, Channel
from prorl_trainer.rollout.settings import EngineSettings
from prorl_trainer.rollout.stats import EngineStats
from prorl_trainer.types import Completion, GenerationRequest, OnCompletion


class HostedEngine(Protocol):
    """What both engines offer inside the actor."""

    async def generate(
        self, requests: Sequence[GenerationRequest], on_completion: OnCompletion
    ) -> None:
        """See protocols.Engine."""
        ...

    async def init_weight_channel(self, channel: Channel, rank: int) -> None:
        """Joins the learner's channel with this rank."""
        ...

    async def update_weights(self, announcement: Announcement, version: str) -> None:
        """Pauses generation and receives one whole update. Raises WeightSyncError."""
        ...

    async def weight_checksums(self, announcement: Announcement) -> dict[str, str]:
        """Name -> sha256 of what the engine computes with. Raises WeightSyncError."""
        ...

    async def resume(self) -> None:
        """Goes on generating after an update."""
        ...

    async def stats(self) -> EngineStats:
        """How it works, of now. Raises EngineLostError."""
        ...


def build_engine(settings: EngineSettings) -> HostedEngine:
    """Loads the engine that the job asks for; takes seconds to minutes."""
    if settings.kind is EngineKind.VLLM:
        from prorl_trainer.rollout.vllm_engine import VllmEngine

        return VllmEngine(settings)
    from prorl_trainer.rollout.hf_engine import HfEngine

    return HfEngine(Path(settings.model_dir))


class EngineActor:
    """Ray makes an asynchronous actor of it, so that a call is answered while others generate."""

    def __init__(self, settings: EngineSettings) -> None:
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        self._engine = build_engine(settings)

    async def ready(self) -> None:
        """Answers once the engine is loaded."""

    async def generate(
        self, requests: Sequence[GenerationRequest]
    ) -> AsyncIterator[list[Completion]]:
        """What has ended since the list before; those that end together travel together."""
        ended: asyncio.Queue[Completion | None] = asyncio.Queue()
        drawing = asyncio.ensure_future(self._engine.generate(requests, ended.put_nowait))
        drawing.add_done_callback(lambda _: ended.put_nowait(None))
        try:
            while found := await _together(ended):
                yield found
            await drawing
        finally:
            drawing.cancel()

    async def init_weight_channel(self, channel: Channel, rank: int) -> None:
        """See HostedEngine."""
        await self._engine.init_weight_channel(channel, rank)

    async def update_weights(self, announcement: Announcement, version: str) -> None:
        """See HostedEngine."""
        await self._engine.update_weights(announcement, version)

    async def weight_checksums(self, announcement: Announcement) -> dict[str, str]:
        """See HostedEngine."""
        return await self._engine.weight_checksums(announcement)

    async def resume(self) -> None:
        """See HostedEngine."""
        await self._engine.resume()

    async def stats(self) -> EngineStats:
        """See HostedEngine."""
        return await self._engine.stats()


async def _together(ended: asyncio.Queue[Completion | None]) -> list[Completion]:
    """The next completions up to now; none once None has come, which is the last."""
    found = [await ended.get()]
    await asyncio.sleep(0)  # the others of the same iteration of the engine
    while not ended.empty():
        found.append(ended.get_nowait())
    if found[-1] is None and len(found) > 1:
        ended.put_nowait(found.pop())
    return [completion for completion in found if completion is not None]


class RayEngine:
    """protocols.Engine over an actor; its death arrives as EngineLostError.

    At most max_generating calls of generate are with the actor, so that an update or a question is
    never behind a queue of them.
    """

    def __init__(self, actor: Any, name: str, node_id: str, max_generating: int = 1) -> None:
        self._actor = actor
        self._slots = asyncio.Semaphore(max_generating)
        self.name = name
        self.node_id = node_id

    async def ready(self) -> None:
        """Returns when the engine is loaded."""
        await self._call("ready")

    async def generate(
        self, requests: Sequence[GenerationRequest], on_completion: OnCompletion
    ) -> None:
        """See protocols.Engine. Cancelled, it ends in the actor too: nobody wants the rest."""
        async with self._slots:
            stream = self._actor.generate.remote(list(requests))
            try:
                async for part in stream:
                    for completion in await self._answer(part):
                        on_completion(completion)
            except BaseException:
                ray.cancel(stream)
                raise

    async def init_weight_channel(self, channel: Channel, rank: int) -> None:
        """See HostedEngine."""
        await self._call("init_weight_channel", channel, rank)

    async def update_weights(self, announcement: Announcement, version: str) -> None:
        """See HostedEngine."""
        await self._call("update_weights", announcement, version)

    async def weight_checksums(self, announcement: Announcement) -> dict[str, str]:
        """See HostedEngine."""
        found: dict[str, str] = await self._call("weight_checksums", announcement)
        return found

    async def resume(self) -> None:
        """See HostedEngine."""
        await self._call("resume")

    async def stats(self) -> EngineStats:
        """See HostedEngine."""
        found: EngineStats = await self._call("stats")
        return found

    def close(self) -> None:
        """Ends the actor's process and with it the engine's."""
        ray.kill(self._actor)

    async def _call(self, method: str, *args: Any) -> Any:
        return await self._answer(getattr(self._actor, method).remote(*args))

    async def _answer(self, call: Any) -> Any:
        try:
            return await call
        except RayActorError as error:
            raise EngineLostError(self.name, str(error)) from error
        except RayTaskError as error:
            cause = error.cause
            if isinstance(cause, EngineLostError):  # inside the actor it does not know its name
                raise EngineLostError(self.name, cause.reason) from error
            raise (cause if isinstance(cause, TrainingError) else error) from error


CONTROL_CALLS = 16
"""Calls that an actor answers beside those of generate."""


def start_engine(settings: EngineSettings, *, node_id: str, name: str) -> RayEngine:
    """Places an engine on the node; call ready() to wait for it."""
    actor_class = ray.remote(
        num_cpus=0,
        num_gpus=settings.num_gpus,
        resources={runtime.RAY_ROLLOUT_RESOURCE: 1},
        max_restarts=0,
        max_concurrency=settings.max_concurrent_sequences + CONTROL_CALLS,
        scheduling_strategy=ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
            node_id, soft=False
        ),
    )(EngineActor)
    actor = actor_class.remote(settings)
    return RayEngine(actor, name, node_id, max_generating=settings.max_concurrent_sequences)
