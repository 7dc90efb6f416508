"""An engine in a Ray actor, and its proxy on the driver."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import ray
from prorl_api import runtime
from prorl_api.spec_roles import EngineKind
from ray.exceptions import RayActorError, RayTaskError

from prorl_trainer.errors import EngineLostError, TrainingError
from prorl_trainer.rollout.settings import EngineSettings
from prorl_trainer.types import Completion, GenerationRequest


class HostedEngine(Protocol):
    """What both engines offer inside the actor."""

    async def generate(self, requests: Sequence[GenerationRequest]) -> list[Completion]:
        """See types.Engine."""
        ...

    async def init_weight_channel(self, host: str, port: int, rank: int, world_size: int) -> None:
        """Joins the learner's channel with this rank."""
        ...

    async def update_weights(
        self, names: list[str], dtypes: list[str], shapes: list[list[int]], version: str
    ) -> None:
        """One whole update session. Raises WeightSyncError."""
        ...

    async def weight_version(self) -> str:
        """See types.Engine."""
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

    async def generate(self, requests: Sequence[GenerationRequest]) -> list[Completion]:
        """See types.Engine."""
        return await self._engine.generate(requests)

    async def init_weight_channel(self, host: str, port: int, rank: int, world_size: int) -> None:
        """See HostedEngine."""
        await self._engine.init_weight_channel(host, port, rank, world_size)

    async def update_weights(
        self, names: list[str], dtypes: list[str], shapes: list[list[int]], version: str
    ) -> None:
        """See HostedEngine."""
        await self._engine.update_weights(names, dtypes, shapes, version)

    async def weight_version(self) -> str:
        """See types.Engine."""
        return await self._engine.weight_version()


class RayEngine:
    """types.Engine over an actor; its death arrives as EngineLostError."""

    def __init__(self, actor: Any, name: str, node_id: str) -> None:
        self._actor = actor
        self.name = name
        self.node_id = node_id

    async def ready(self) -> None:
        """Returns when the engine is loaded."""
        await self._call("ready")

    async def generate(self, requests: Sequence[GenerationRequest]) -> list[Completion]:
        """See types.Engine."""
        completions: list[Completion] = await self._call("generate", list(requests))
        return completions

    async def init_weight_channel(self, host: str, port: int, rank: int, world_size: int) -> None:
        """See HostedEngine."""
        await self._call("init_weight_channel", host, port, rank, world_size)

    async def update_weights(
        self, names: list[str], dtypes: list[str], shapes: list[list[int]], version: str
    ) -> None:
        """See HostedEngine."""
        await self._call("update_weights", names, dtypes, shapes, version)

    async def weight_version(self) -> str:
        """See types.Engine."""
        return str(await self._call("weight_version"))

    def close(self) -> None:
        """Ends the actor's process and with it the engine's."""
        ray.kill(self._actor)

    async def _call(self, method: str, *args: Any) -> Any:
        try:
            return await getattr(self._actor, method).remote(*args)
        except RayActorError as error:
            raise EngineLostError(self.name, str(error)) from error
        except RayTaskError as error:
            cause = error.cause
            if isinstance(cause, EngineLostError):  # inside the actor it does not know its name
                raise EngineLostError(self.name, cause.reason) from error
            raise (cause if isinstance(cause, TrainingError) else error) from error


def start_engine(settings: EngineSettings, *, node_id: str, name: str) -> RayEngine:
    """Places an engine on the node; call ready() to wait for it."""
    actor_class = ray.remote(
        num_cpus=0,
        num_gpus=settings.num_gpus,
        resources={runtime.RAY_ROLLOUT_RESOURCE: 1},
        max_restarts=0,
        max_concurrency=settings.max_concurrent_sequences + 16,
        scheduling_strategy=ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
            node_id, soft=False
        ),
    )(EngineActor)
    return RayEngine(actor_class.remote(settings), name, node_id)
