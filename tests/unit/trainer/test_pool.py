"""The elastic pool: weights first, lost engines replaced, and an end where engines only die."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from prorl_trainer.errors import EngineLostError
from prorl_trainer.rollout.pool import MAX_DEATHS, EnginePool
from prorl_trainer.types import Completion, FinishReason, GenerationRequest

REQUEST = GenerationRequest(
    request_id="r", prompt_token_ids=(1,), max_tokens=1, temperature=1.0, seed=0
)


@dataclass
class ScriptedEngine:
    """Generates until its place is lost, or fails from the start."""

    name: str
    place: str
    world: "World"
    weights: bool = False
    closed: bool = False

    async def ready(self) -> None:
        if self.world.stillborn:
            raise EngineLostError(self.name, "stillborn")

    async def generate(self, requests: Sequence[GenerationRequest]) -> list[Completion]:
        assert self.weights, f"{self.name} was given requests before weights"
        await asyncio.sleep(0)
        if self.name in self.world.dying:
            raise EngineLostError(self.name, "died")
        return [
            Completion(
                request_id=r.request_id, token_ids=(2,), mask=(True,), logprobs=(-1.0,),
                finish_reason=FinishReason.STOP, weight_versions=("1-0",), text=self.name,
            )
            for r in requests
        ]  # fmt: skip

    def close(self) -> None:
        self.closed = True


@dataclass
class World:
    """Places, the engines that were started in them, and what the pool has said."""

    places: list[str]
    stillborn: bool = False
    dying: set[str] = field(default_factory=set)
    engines: list[ScriptedEngine] = field(default_factory=list)
    usable: int = 0
    lost: int = 0

    def start(self, place: str) -> ScriptedEngine:
        self.engines.append(ScriptedEngine(f"engine-{len(self.engines)}", place, self))
        return self.engines[-1]

    async def send(self, engines: list[ScriptedEngine]) -> None:
        for engine in engines:
            if engine.name in self.dying:
                raise EngineLostError(engine.name, "died")
            engine.weights = True

    def changed(self, usable: int, lost: int) -> None:
        self.usable = usable
        self.lost += lost


@asynccontextmanager
async def pool_of(world: World, *, at_least: int) -> AsyncIterator[EnginePool[ScriptedEngine]]:
    pool = EnginePool(
        places=lambda: list(world.places),
        start=world.start,
        send=world.send,
        min_engines=at_least,
        on_change=world.changed,
    )
    pool.open()
    try:
        async with asyncio.timeout(30):
            yield pool
    finally:
        await pool.close()
        assert all(engine.closed for engine in world.engines)


async def until(holds: Callable[[], bool]) -> None:
    while not holds():
        await asyncio.sleep(0.01)


async def generate(pool: EnginePool[ScriptedEngine], times: int) -> list[str]:
    found = await asyncio.gather(*(pool.generate([REQUEST]) for _ in range(times)))
    return [completion.text for completions in found for completion in completions]


async def test_many_engines_that_worked_may_be_lost_at_once() -> None:
    world = World([f"node/{i}" for i in range(5)])
    async with pool_of(world, at_least=5) as pool:
        await pool.publish()
        assert set(await generate(pool, 5)) == {f"engine-{i}" for i in range(5)}
        world.dying = {f"engine-{i}" for i in range(4)}
        assert len(await generate(pool, 10)) == 10
        assert pool.num_usable == world.usable == 5
        assert world.lost == 4


async def test_many_untried_engines_may_be_lost_with_their_nodes() -> None:
    world = World([f"node/{i}" for i in range(5)])
    async with pool_of(world, at_least=1) as pool:
        await until(lambda: len(world.engines) == 5)
        world.places = ["node/4"]
        world.dying = {f"engine-{i}" for i in range(4)}
        await pool.publish()
        assert await generate(pool, 2) == ["engine-4", "engine-4"]


async def test_engines_that_only_die_end_the_run() -> None:
    world = World(["node/0"], stillborn=True)
    async with pool_of(world, at_least=1) as pool:
        with pytest.raises(EngineLostError, match="stillborn"):
            await pool.publish()
    assert len(world.engines) == MAX_DEATHS


async def test_an_engine_lost_while_it_is_sent_weights_is_replaced() -> None:
    world = World(["node/0", "node/1"])
    async with pool_of(world, at_least=2) as pool:
        world.dying = {"engine-1"}
        await pool.publish()
        assert set(await generate(pool, 2)) == {"engine-0", "engine-2"}
