"""An engine and learners as Ray actors: weights in flight, and what ends with its caller."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import ray
from drawing import complete
from prorl_api import runtime
from prorl_api.spec_roles import EngineKind
from prorl_trainer import ray_use
from prorl_trainer.errors import EngineLostError
from prorl_trainer.learn.group import GroupSettings, RayLearnerGroup, create_learner_group
from prorl_trainer.observe.ray_metrics import ClusterUse
from prorl_trainer.rollout.actor import RayEngine, start_engine
from prorl_trainer.rollout.settings import EngineSettings
from prorl_trainer.types import Completion, GenerationRequest
from tiny_model import make_batch, make_model, make_settings

GENERATING = 4

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module", autouse=True)
def local_ray() -> Iterator[None]:
    ray.init(
        num_cpus=2,
        resources={runtime.RAY_TRAINER_RESOURCE: 2, runtime.RAY_ROLLOUT_RESOURCE: 1},
        include_dashboard=False, object_store_memory=100_000_000, _node_ip_address="127.0.0.1",
        log_to_driver=False,
    )  # fmt: skip
    yield
    ray.shutdown()


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[RayEngine]:
    settings = EngineSettings(
        kind=EngineKind.TRANSFORMERS, model_dir=str(make_model(tmp_path)), max_model_len=256,
        num_gpus=0, max_concurrent_sequences=GENERATING, seed=0,
    )  # fmt: skip
    engine = start_engine(settings, node_id=ray.nodes()[0]["NodeID"], name="engine-0")
    await engine.ready()
    yield engine
    engine.close()


@pytest.fixture
async def group(tmp_path: Path) -> AsyncIterator[RayLearnerGroup]:
    """Two ranks that verify what they publish."""
    group = await create_learner_group(
        GroupSettings(
            model_dir=make_model(tmp_path), num_ranks=2, gpus_per_rank=0, seed=0,
            in_cluster=False, verify_weights=True,
        )
    )  # fmt: skip
    yield group
    await group.close()


def make_requests(count: int) -> list[GenerationRequest]:
    """Far more calls than the actor takes at once."""
    request = GenerationRequest(
        request_id="", prompt_token_ids=(3, 4, 5), max_tokens=120, temperature=1.0, seed=0
    )
    return [replace(request, request_id=str(i), seed=i) for i in range(count)]


async def drawn(engine: RayEngine, tokens: int) -> None:
    while (await engine.stats()).generated_tokens < tokens:
        await asyncio.sleep(0.001)


async def test_an_update_passes_a_queue_of_requests_and_verifies_two_ranks(
    group: RayLearnerGroup, engine: RayEngine
) -> None:
    await group.publish([engine], "1-0")
    calls = [asyncio.create_task(complete(engine.generate, [r])) for r in make_requests(40)]
    await drawn(engine, 30)
    await group.update(make_batch(), make_settings(learning_rate=3e-2))
    await group.publish([engine], "1-1")
    assert not all(call.done() for call in calls), "nothing was left to be overtaken"
    found: list[Completion] = [c for call in calls for c in await call]
    versions = {c.weight_versions for c in found}
    assert ("1-1",) in versions
    assert versions <= {("1-0",), ("1-0", "1-1"), ("1-1",)}


async def test_what_has_ended_is_handed_over_before_the_rest_of_its_call(engine: RayEngine) -> None:
    """In the order in which they end; equal prompts advance together."""
    requests = [
        replace(request, max_tokens=tokens)
        for request, tokens in zip(make_requests(3), (120, 1, 20), strict=True)
    ]
    found: list[tuple[str, int]] = []
    call = asyncio.create_task(
        engine.generate(requests, lambda c: found.append((c.request_id, len(c.token_ids))))
    )
    while not found:
        await asyncio.sleep(0.001)
    assert not call.done()
    assert found[0] == ("1", 1)
    await call
    assert [tokens for _, tokens in found] == sorted(tokens for _, tokens in found)
    assert sorted(name for name, _ in found) == ["0", "1", "2"]


async def test_what_is_cancelled_or_closed_ends_in_the_engine_too(engine: RayEngine) -> None:
    calls = [asyncio.create_task(complete(engine.generate, [r])) for r in make_requests(40)]
    await drawn(engine, 30)
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    before = -1
    while before != (now := (await engine.stats()).generated_tokens):
        before = now
        await asyncio.sleep(0.2)
    assert now < 40 * 20, "it went on with what nobody waits for"
    assert await complete(engine.generate, make_requests(1))

    call = asyncio.create_task(complete(engine.generate, make_requests(4)))
    await drawn(engine, now + 10)
    engine.close()
    with pytest.raises(EngineLostError, match="engine-0"):
        await call
    with pytest.raises(EngineLostError, match="engine-0"):
        await complete(engine.generate, make_requests(1))


KEPT_BYTES = 10 << 20


def has_told(use: ClusterUse) -> bool:
    """Ray's nodes tell of changes within seconds, of each by itself."""
    places = use.used["rollout"], use.used["trainer"]
    return places == (1, 2) and use.store_used_bytes >= KEPT_BYTES


async def test_ray_tells_who_has_places_and_what_is_in_its_stores(
    group: RayLearnerGroup, engine: RayEngine
) -> None:
    kept = ray.put(bytes(KEPT_BYTES))
    while not has_told(use := await asyncio.to_thread(ray_use.ask)):
        await asyncio.sleep(0.1)
    assert (use.alive, use.dead) == (1, 0)
    assert (use.free["rollout"], use.free["trainer"], use.free["gpu"]) == (0, 0, 0)
    assert use.store_used_bytes + use.store_free_bytes == 100_000_000
    del kept
