"""The driver's proxy of an engine: what its actor raises arrives under the engine's own name."""

from typing import Any

import pytest
from prorl_trainer.errors import EngineLostError, WeightSyncError
from prorl_trainer.rollout.actor import RayEngine
from ray.exceptions import ActorDiedError, RayTaskError


class ScriptedActor:
    """Every call of `stats` fails as scripted."""

    def __init__(self, error: Exception) -> None:
        self.stats = self
        self._error = error

    async def remote(self, *_: Any) -> Any:
        raise self._error


def task_error(cause: Exception) -> RayTaskError:
    return RayTaskError("stats", "traceback", cause)


async def call(error: Exception) -> None:
    await RayEngine(ScriptedActor(error), "engine-7", "node").stats()


@pytest.mark.parametrize(
    "error", [ActorDiedError(), task_error(EngineLostError("vllm", "EngineCore died"))]
)
async def test_a_lost_engine_is_named_as_the_pool_knows_it(error: Exception) -> None:
    with pytest.raises(EngineLostError) as caught:
        await call(error)
    assert caught.value.engine == "engine-7"


async def test_other_errors_of_ours_arrive_as_they_are() -> None:
    with pytest.raises(WeightSyncError, match="late"):
        await call(task_error(WeightSyncError("late")))
