"""The learner ranks as Ray actors, seen as one protocols.LearnerGroup."""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from prorl_api import runtime
from prorl_api.spec_roles import Precision
from ray.exceptions import RayActorError, RayTaskError

from prorl_trainer.errors import TrainerLostError, TrainingError
from prorl_trainer.learn.learner import Learner, RankSettings, pick_device
from prorl_trainer.rollout.actor import RayEngine
from prorl_trainer.rollout.backend import Announcement, Backend, Channel, merge_announcements
from prorl_trainer.rollout.publish import Publication, publish_weights
from prorl_trainer.types import ShardFiles, TrainingBatch, UpdateResult, UpdateSettings

START_TIMEOUT_S = 300.0
CLOSE_TIMEOUT_S = 10.0
WRITING = "writing"
BROKEN_COLLECTIVE = (
    "gloo/transport",
    "Timed out waiting",
    "DistBackendError",
    "DistNetworkError",
    "DistStoreError",
)
"""Parts of the remote traceback; gloo raises plain RuntimeError."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupSettings:
    """How the ranks are placed."""

    model_dir: Path
    num_ranks: int
    gpus_per_rank: int
    """0 or 1."""
    seed: int
    in_cluster: bool
    """Pods have an address each, so ports are fixed; on one machine they are free ones."""
    precision: Precision = Precision.FP32
    activation_checkpointing: bool = False
    backend: Backend = Backend.GLOO
    wire_dtype: str = "float32"
    """Of the weights as they are sent to engines."""
    verify_weights: bool = False
    """Compare the checksums of every update."""


class LearnerActor:
    """One rank in its own process. Ray makes a class of it, with a thread for the group WRITING."""

    def __init__(self) -> None:
        self._learner: Learner | None = None

    def address(self, *, in_cluster: bool) -> tuple[str, int]:
        """Where rank 0 can be met."""
        port = runtime.RENDEZVOUS_PORT if in_cluster else _free_port()
        return ray.util.get_node_ip_address(), port

    def process_id(self) -> int:
        """Of the rank, on its node; for logs and tests."""
        return os.getpid()

    def start(self, settings: RankSettings, num_gpus: int) -> None:
        """Loads the model and joins the other ranks."""
        pick_device(num_gpus)
        self._learner = Learner(settings)

    def call(self, method: str, *args: Any) -> Any:
        """Calls a method of the learner; all ranks get the same calls in the same order."""
        return getattr(self._learner, method)(*args)


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class RayLearnerGroup:
    """protocols.LearnerGroup over actors."""

    def __init__(self, actors: list[Any], settings: GroupSettings) -> None:
        self._actors = actors
        self._settings = settings
        self._publication = Publication(verify=settings.verify_weights)
        self._channels = 0

    async def update(self, batch: TrainingBatch, settings: UpdateSettings) -> UpdateResult:
        """See protocols.LearnerGroup."""
        results: list[UpdateResult] = await self._all("update", ray.put(batch), settings)
        return results[0]

    async def publish(self, engines: Sequence[RayEngine], version: str) -> None:
        """See protocols.LearnerGroup."""
        await publish_weights(self, engines, version, self._publication)

    async def reset_reference(
        self, *, source: str | None = None, clear_optimizer: bool = False
    ) -> None:
        """See protocols.LearnerGroup."""
        await self._all("reset_reference", source, clear_optimizer)

    async def stage(self) -> None:
        """See protocols.LearnerGroup."""
        await self._all("stage")

    async def write(self, place: str, *, reference: bool = True) -> ShardFiles:
        """See protocols.LearnerGroup."""
        found: list[ShardFiles] = await self._all("write", place, reference, thread=WRITING)
        return ShardFiles(files={k: v for shards in found for k, v in shards.files.items()})

    async def load(self, place: str) -> None:
        """See protocols.LearnerGroup."""
        await self._all("load", place)

    async def channel(self, world_size: int) -> Channel:
        """A fresh address on rank 0's node for the weight channel."""
        host, port = await self._one(self._actors[0].address.remote(in_cluster=False))
        self._channels += 1
        if self._settings.in_cluster:
            port = runtime.WEIGHTS_PORT + self._channels % 100
        return Channel(
            backend=self._settings.backend,
            dtype=self._settings.wire_dtype,
            host=host,
            port=port,
            world_size=world_size,
        )

    async def open_weight_channel(self, channel: Channel) -> None:
        """Returns when all engine workers have joined."""
        await self._all("open_weight_channel", channel)

    async def announce_weights(self) -> Announcement:
        """What the next update will bring."""
        return merge_announcements(await self._all("announce_weights"))

    async def send_weights(self) -> None:
        """Sends to the members of the open channel."""
        await self._all("send_weights")

    async def weight_checksums(self) -> dict[str, str]:
        """Name -> sha256 of what is sent."""
        found: dict[str, str] = (await self._all("weight_checksums"))[0]
        return found

    async def release_weights(self) -> None:
        """The update is finished."""
        await self._all("release_weights")

    async def close(self) -> None:
        """Ends the actors' processes, and waits for that: the next group needs their port."""
        for actor in self._actors:
            ray.kill(actor)
        asked = [asyncio.ensure_future(_gone(actor)) for actor in self._actors]
        if asked:
            await asyncio.wait(asked, timeout=CLOSE_TIMEOUT_S)
        for task in asked:
            task.cancel()

    async def _all(self, method: str, *args: Any, thread: str | None = None) -> list[Any]:
        calls = [actor.call.options(concurrency_group=thread) for actor in self._actors]
        return list(await asyncio.gather(*(self._one(c.remote(method, *args)) for c in calls)))

    async def _one(self, ref: Any) -> Any:
        try:
            return await ref
        except RayActorError as error:
            raise TrainerLostError(
                "A learner rank is gone: its pod or process has ended."
            ) from error
        except RayTaskError as error:
            raise (_typed(error) or error) from error


async def _gone(actor: Any) -> None:
    try:
        await actor.__ray_ready__.remote()
    except RayActorError:
        return


def _typed(error: RayTaskError) -> TrainingError | None:
    """What the rank raised, if it is ours. A rank often notices a lost peer before Ray does: a
    broken collective is a lost rank too."""
    cause = error.cause
    if isinstance(cause, TrainingError):
        return cause
    if any(sign in str(error) for sign in BROKEN_COLLECTIVE):
        return TrainerLostError("A learner rank is gone: the others cannot reach it.")
    return None


async def create_learner_group(
    settings: GroupSettings, timeout_s: float = START_TIMEOUT_S
) -> RayLearnerGroup:
    """Places and starts all ranks. Raises TrainerLostError when they do not start in time, and
    ModelError; nothing is left behind then."""
    actor_class = ray.remote(
        num_cpus=0,
        num_gpus=settings.gpus_per_rank,
        resources={runtime.RAY_TRAINER_RESOURCE: 1},
        max_restarts=0,
        concurrency_groups={WRITING: 1},
    )(LearnerActor)
    actors = [actor_class.remote() for _ in range(settings.num_ranks)]
    group = RayLearnerGroup(actors, settings)
    try:
        async with asyncio.timeout(timeout_s):
            await _start(group, actors, settings)
    except TimeoutError as error:
        await group.close()
        raise TrainerLostError(
            f"{settings.num_ranks} learner ranks did not start within {timeout_s:.0f} s."
        ) from error
    except BaseException:
        await group.close()
        raise
    return group


async def _start(group: RayLearnerGroup, actors: list[Any], settings: GroupSettings) -> None:
    host, port = await group._one(actors[0].address.remote(in_cluster=settings.in_cluster))
    refs = [
        actor.start.remote(
            RankSettings(
                rank=rank,
                world_size=settings.num_ranks,
                master_address=host,
                master_port=port,
                model_dir=str(settings.model_dir),
                seed=settings.seed,
                device="cuda" if settings.gpus_per_rank else "cpu",
                precision=settings.precision,
                activation_checkpointing=settings.activation_checkpointing,
            ),
            settings.gpus_per_rank,
        )
        for rank, actor in enumerate(actors)
    ]
    await asyncio.gather(*(group._one(ref) for ref in refs))
