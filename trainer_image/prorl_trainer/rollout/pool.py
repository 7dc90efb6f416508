"""The elastic pool: the engines that are there now, each with the current weights before it works."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, Protocol, TypeVar

from prorl_trainer.errors import EngineLostError, WeightSyncError
from prorl_trainer.types import Completion, GenerationRequest

log = logging.getLogger(__name__)

SCAN_SECONDS = 1.0


class PoolEngine(Protocol):
    """An engine as the pool sees it."""

    @property
    def name(self) -> str:
        """See types.Engine."""
        ...

    async def ready(self) -> None:
        """Returns when the engine is loaded. Raises EngineLostError."""
        ...

    async def generate(self, requests: Sequence[GenerationRequest]) -> list[Completion]:
        """See types.Engine."""
        ...

    def close(self) -> None:
        """Ends the engine."""
        ...


def least_loaded(load: dict[str, int]) -> str:
    """The engine with the fewest requests; ties go by name, so that a run repeats."""
    return min(sorted(load), key=lambda name: load[name])


E = TypeVar("E", bound=PoolEngine)


class EnginePool(Generic[E]):
    """Keeps one engine per node that can hold one.

    `nodes` lists their ids, `start` places an engine, `publish` gives one engine the current
    weights. Training waits while fewer than min_engines are usable.
    """

    def __init__(
        self,
        *,
        nodes: Callable[[], list[str]],
        start: Callable[[str], E],
        publish: Callable[[E], Awaitable[None]],
        min_engines: int,
    ) -> None:
        self._nodes = nodes
        self._start = start
        self._publish = publish
        self._min_engines = min_engines
        self._loading: dict[str, asyncio.Task[None]] = {}
        self._usable: dict[str, E] = {}
        self._places: dict[str, str] = {}
        self._load: dict[str, int] = {}
        self._changed = asyncio.Condition()
        self._scanner: asyncio.Task[None] | None = None
        self.fault: BaseException | None = None

    def open(self) -> None:
        """Starts looking for nodes."""
        self._scanner = asyncio.create_task(self._scan())

    @property
    def usable(self) -> list[E]:
        """Engines that may be given requests, by name."""
        return [self._usable[name] for name in sorted(self._usable)]

    async def wait_usable(self) -> list[E]:
        """Returns when at least min_engines are usable. Raises what ended the scanner."""
        async with self._changed:
            await self._changed.wait_for(
                lambda: self.fault is not None or len(self._usable) >= self._min_engines
            )
        if self.fault is not None:
            raise self.fault
        return self.usable

    async def generate(self, requests: Sequence[GenerationRequest]) -> list[Completion]:
        """Draws on the least loaded engine; a lost engine's requests go to another one."""
        while True:
            await self.wait_usable()
            name = least_loaded(self._load)
            self._load[name] += len(requests)
            try:
                return await self._usable[name].generate(requests)
            except EngineLostError as error:
                log.warning("engine=%s lost, its requests are drawn again: %s", name, error)
                await self.drop(name)
            finally:
                if name in self._load:
                    self._load[name] -= len(requests)

    async def drop(self, name: str) -> None:
        """Forgets an engine; its node may get a new one."""
        async with self._changed:
            engine = self._usable.pop(name, None)
            self._load.pop(name, None)
            self._places = {n: e for n, e in self._places.items() if e != name}
            self._changed.notify_all()
        if engine is not None:
            engine.close()

    async def close(self) -> None:
        """Ends the scanner and all engines."""
        tasks = [t for t in (self._scanner, *self._loading.values()) if t is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for name in list(self._usable):
            await self.drop(name)

    async def _scan(self) -> None:
        while True:
            try:
                await self._match(await asyncio.to_thread(self._nodes))
            except Exception as error:  # told to whoever waits for an engine
                self.fault = error
                async with self._changed:
                    self._changed.notify_all()
                raise
            await asyncio.sleep(SCAN_SECONDS)

    async def _match(self, nodes: list[str]) -> None:
        for node in sorted(self._places.keys() - set(nodes)):
            await self.drop(self._places[node])
            self._places.pop(node, None)
        for node in nodes:
            if node not in self._places:
                engine = self._start(node)
                self._places[node] = engine.name
                self._loading[engine.name] = asyncio.create_task(self._admit(engine, node))

    async def _admit(self, engine: E, node: str) -> None:
        """Loads the engine, gives it the current weights, then lets it work."""
        try:
            await engine.ready()
            await self._publish(engine)
        except (EngineLostError, WeightSyncError) as error:
            log.warning("engine=%s did not start: %s", engine.name, error)
            engine.close()
            self._places.pop(node, None)
            return
        except Exception as error:
            self.fault = error
        finally:
            self._loading.pop(engine.name, None)
        async with self._changed:
            if self.fault is None:
                self._usable[engine.name] = engine
                self._load[engine.name] = 0
            self._changed.notify_all()
