"""The elastic pool: one engine per place that can hold one, each with the current weights first.

An engine is loading, loaded (without the current weights) or usable. Weights are sent by `publish`,
which the loop calls, and to newcomers while somebody waits for them, unless `hold` says that the
learners are changing their weights just now.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Generic, TypeVar

from prorl_trainer.errors import EngineLostError
from prorl_trainer.rollout.places import node_of
from prorl_trainer.rollout.pool_engine import PlaceList, PoolEngine, PoolReport
from prorl_trainer.rollout.stall import STALL_SECONDS, watch
from prorl_trainer.types import Completion, GenerationRequest, OnCompletion

log = logging.getLogger(__name__)

SCAN_SECONDS = 1.0
MAX_DEATHS = 3
"""In a row, without having generated anything, on nodes that live on: no node's fault."""

E = TypeVar("E", bound=PoolEngine)


class EnginePool(Generic[E]):
    """`places`: where engines can be; `start` puts one there, `send` gives them weights of now.
    Generation waits while fewer than min_engines are usable."""

    def __init__(
        self,
        *,
        places: PlaceList,
        start: Callable[[str], E],
        send: Callable[[list[E]], Awaitable[None]],
        min_engines: int,
        report: PoolReport,
    ) -> None:
        self._places = places
        self._start = start
        self._send = send
        self._min_engines = min_engines
        self._report = report
        self._stall_seconds = STALL_SECONDS
        self._engines: dict[str, E] = {}
        self._place_of: dict[str, str] = {}
        self._loaded: set[str] = set()
        self._load: dict[str, int] = {}
        """Requests in flight of each engine."""
        self._usable: set[str] = set()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._proven: set[str] = set()
        """Engines that have generated something."""
        self._deaths = 0
        self._changed = asyncio.Event()
        self._publishing = asyncio.Lock()
        self._may_send = asyncio.Event()
        self._may_send.set()
        self._scanner: asyncio.Task[None] | None = None

    def open(self, stall_seconds: float = STALL_SECONDS) -> None:
        """Starts looking for places. An engine that has requests and draws no token for
        stall_seconds is lost."""
        self._stall_seconds = stall_seconds
        self._scanner = asyncio.create_task(self._scan())

    @property
    def num_usable(self) -> int:
        """Engines that may be given requests."""
        return len(self._usable)

    def is_on(self, nodes: Collection[str]) -> bool:
        """Whether an engine is on one of the nodes."""
        return any(node_of(place) in nodes for place in self._place_of.values())

    def hold(self) -> None:
        """Until the next publish no engine gets weights: those of the learners are changing. Usable
        engines go on."""
        self._may_send.clear()

    async def publish(self) -> None:
        """Gives every loaded engine the current weights and makes it usable; waits for
        min_engines. What is being generated goes on with the new weights. Raises WeightSyncError,
        TrainerLostError."""
        async with self._publishing:
            self._usable = set()
            await self._publish()
            self._may_send.set()

    async def generate(
        self, requests: Sequence[GenerationRequest], on_completion: OnCompletion
    ) -> None:
        """Draws on the engine with the fewest requests (ties by name: runs repeat), and hands each
        completion over once, when it ends. What a lost engine leaves is drawn again on another."""
        missing = {request.request_id: request for request in requests}
        while missing:
            await self._wait_usable()
            name = min(sorted(self._usable), key=lambda one: self._load[one])
            try:
                await self._draw(name, missing, on_completion)
            except EngineLostError as error:
                if name in self._engines:  # the first of its calls that notices
                    log.warning("%s Its requests are drawn again.", error)
                await self._lose(name, error)

    async def _draw(
        self, name: str, missing: dict[str, GenerationRequest], on_completion: OnCompletion
    ) -> None:
        """Takes out of `missing` what the engine has finished."""

        def finished(completion: Completion) -> None:
            del missing[completion.request_id]
            self._add_load(name, -1)
            self._deaths = 0
            self._proven.add(name)
            on_completion(completion)

        self._add_load(name, len(missing))
        try:
            await self._engines[name].generate(list(missing.values()), finished)
        finally:
            self._add_load(name, -len(missing))

    def _add_load(self, name: str, requests: int) -> None:
        if name in self._load:
            self._load[name] += requests

    async def close(self) -> None:
        """Ends the scanner and all engines."""
        tasks = [t for t in (self._scanner, *self._tasks.values()) if t is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for name in list(self._engines):
            self._drop(name, lost=0)

    async def _wait_usable(self) -> None:
        while len(self._usable) < self._min_engines:
            await self._may_send.wait()
            async with self._publishing:
                if self._may_send.is_set() and len(self._usable) < self._min_engines:
                    await self._publish()

    async def _publish(self) -> None:
        while True:
            names = await self._wait_loaded()
            try:
                await self._send([self._engines[name] for name in names])
            except EngineLostError as error:
                log.warning("%s It was being sent weights.", error)
                await self._lose(error.engine, error)
                continue
            self._usable |= self._loaded.intersection(names)
            self._report.changed(len(self._usable), 0)
            return

    async def _wait_loaded(self) -> list[str]:
        while len(self._loaded) < self._min_engines:
            self._changed.clear()
            self._raise_fault()
            await self._changed.wait()
        self._raise_fault()
        return sorted(self._loaded)

    def _raise_fault(self) -> None:
        """Raises what ended the scanner or an engine's start and is no mere loss."""
        for task in (self._scanner, *self._tasks.values()):
            ended = task if task is not None and task.done() and not task.cancelled() else None
            if ended and (error := ended.exception()):
                raise error

    async def _lose(self, name: str, error: EngineLostError) -> None:
        """Drops an engine that died. Raises the error when engines only die."""
        place = self._place_of.get(name)
        untried = name in self._engines and name not in self._proven
        self._drop(name, lost=1)
        if untried and place in await asyncio.to_thread(self._places.find):
            self._deaths += 1
            if self._deaths >= MAX_DEATHS:
                raise error

    def _drop(self, name: str, *, lost: int) -> None:
        if (engine := self._engines.pop(name, None)) is None:
            return
        self._place_of.pop(name, None)
        self._loaded.discard(name)
        self._proven.discard(name)
        self._load.pop(name, None)
        self._usable.discard(name)
        task = self._tasks[name]
        if task is not asyncio.current_task():
            task.cancel()
        engine.close()
        self._report.gone(name)
        self._report.changed(len(self._usable), lost)

    async def _scan(self) -> None:
        try:
            while True:
                self._match(await asyncio.to_thread(self._places.find))
                await asyncio.sleep(SCAN_SECONDS)
        finally:
            self._changed.set()

    def _match(self, places: list[str]) -> None:
        for name, place in list(self._place_of.items()):
            if place not in places:
                log.warning("engine=%s lost: its node is gone", name)
                self._drop(name, lost=1)
            elif self._places.is_leaving(place):
                self._drain(name)
        free = set(places) - set(self._place_of.values())
        for place in sorted(one for one in free if not self._places.is_leaving(one)):
            engine = self._start(place)
            self._engines[engine.name] = engine
            self._place_of[engine.name] = place
            self._load[engine.name] = 0
            self._tasks[engine.name] = asyncio.create_task(self._attend(engine))

    def _drain(self, name: str) -> None:
        """Gives the engine nothing more; it goes when it has finished what it has."""
        self._loaded.discard(name)
        self._usable.discard(name)
        self._report.changed(len(self._usable), 0)
        if self._load[name] == 0:
            log.info("engine=%s drained: its pod is to go", name)
            self._drop(name, lost=0)

    async def _attend(self, engine: E) -> None:
        """An engine's start, and whatever befalls it that no call notices."""
        try:
            await engine.ready()
            if engine.name in self._engines:
                self._loaded.add(engine.name)
                self._changed.set()
                await watch(
                    engine,
                    lambda: self._load.get(engine.name, 0) > 0 and not self._publishing.locked(),
                    self._report.told,
                    limit_s=self._stall_seconds,
                )
        except EngineLostError as error:
            if engine.name in self._engines:
                log.warning("%s", error)
            await self._lose(engine.name, error)
        finally:
            self._changed.set()
