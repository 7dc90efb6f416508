"""Places for engines, and scripted engines in them that live, hang or die as a test says."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from drawing import complete
from prorl_trainer.errors import EngineLostError
from prorl_trainer.rollout.places import node_of
from prorl_trainer.rollout.pool import EnginePool
from prorl_trainer.rollout.stats import EngineStats
from prorl_trainer.types import Completion, FinishReason, GenerationRequest, OnCompletion

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
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    tokens: int = 0

    async def ready(self) -> None:
        if self.world.stillborn:
            raise EngineLostError(self.name, "stillborn")

    async def generate(
        self, requests: Sequence[GenerationRequest], on_completion: OnCompletion
    ) -> None:
        assert self.weights, f"{self.name} was given requests before weights"
        await asyncio.sleep(0)
        if self.name in self.world.hanging:
            await self.ended.wait()
            raise EngineLostError(self.name, "its actor was killed")
        if self.world.turn is not None:
            await self.world.turn.wait()
        if self.name in self.world.dying:
            raise EngineLostError(self.name, "died")
        for request in requests:
            on_completion(self._completion(request))
            if self.name in self.world.dying_midway:
                raise EngineLostError(self.name, "died after its first completion")

    def _completion(self, request: GenerationRequest) -> Completion:
        return Completion(
            request_id=request.request_id, token_ids=(2,), mask=(True,), logprobs=(-1.0,),
            finish_reason=FinishReason.STOP, weight_versions=("1-0",), text=self.name,
        )  # fmt: skip

    async def stats(self) -> EngineStats:
        if self.name in self.world.vanished:
            raise EngineLostError(self.name, "its process is gone")
        if self.name in self.world.hanging:
            await self.world.answer.wait()
        else:
            self.tokens += 1
        return EngineStats(generated_tokens=self.tokens)

    def close(self) -> None:
        self.closed = True
        self.ended.set()


@dataclass
class World:
    """Places, the engines that were started in them, and what the pool has said."""

    places: list[str]
    stillborn: bool = False
    dying: set[str] = field(default_factory=set)
    dying_midway: set[str] = field(default_factory=set)
    """They hand one completion over first."""
    hanging: set[str] = field(default_factory=set)
    """Their processes live, and nothing comes of it."""
    answer: asyncio.Event = field(default_factory=asyncio.Event)
    """Set: hanging ones still say how many tokens they have drawn."""
    vanished: set[str] = field(default_factory=set)
    """Their processes are gone, which only a question finds out."""
    leaving: set[str] = field(default_factory=set)
    """Nodes that are to go."""
    turn: asyncio.Event | None = None
    """Nothing is drawn before it is set."""
    sent: int = 0
    engines: list[ScriptedEngine] = field(default_factory=list)
    usable: int = 0
    lost: int = 0
    heard: dict[str, EngineStats] = field(default_factory=dict)
    """Engine that is not gone -> its newest answer."""

    def find(self) -> list[str]:
        return list(self.places)

    def is_leaving(self, place: str) -> bool:
        return node_of(place) in self.leaving

    def start(self, place: str) -> ScriptedEngine:
        self.engines.append(ScriptedEngine(f"engine-{len(self.engines)}", place, self))
        return self.engines[-1]

    async def send(self, engines: list[ScriptedEngine]) -> None:
        for engine in engines:
            if engine.name in self.dying:
                raise EngineLostError(engine.name, "died")
            engine.weights = True
        self.sent += 1

    def changed(self, usable: int, lost: int) -> None:
        self.usable = usable
        self.lost += lost

    def told(self, engine: str, stats: EngineStats) -> None:
        self.heard[engine] = stats

    def gone(self, engine: str) -> None:
        self.heard.pop(engine, None)


@asynccontextmanager
async def pool_of(
    world: World, *, at_least: int, stall_seconds: float = 60.0
) -> AsyncIterator[EnginePool[ScriptedEngine]]:
    pool = EnginePool(
        places=world,
        start=world.start,
        send=world.send,
        min_engines=at_least,
        report=world,
    )
    pool.open(stall_seconds)
    try:
        async with asyncio.timeout(30):
            yield pool
    finally:
        await pool.close()
        assert all(engine.closed for engine in world.engines)
        assert world.heard == {}, "some are not said to be gone, or were heard of afterwards"


async def until(holds: Callable[[], bool]) -> None:
    while not holds():
        await asyncio.sleep(0.01)


async def generate(pool: EnginePool[ScriptedEngine], times: int) -> list[str]:
    found = await asyncio.gather(*(complete(pool.generate, [REQUEST]) for _ in range(times)))
    return [completion.text for completions in found for completion in completions]
