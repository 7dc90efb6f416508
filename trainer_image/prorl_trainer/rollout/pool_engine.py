"""What the pool asks of an engine and of the list of places, and whom it tells what it sees."""

from collections.abc import Sequence
from typing import Protocol

from prorl_trainer.rollout.stats import EngineStats
from prorl_trainer.types import GenerationRequest, OnCompletion


class PlaceList(Protocol):
    """Where the pool may put engines; see places.Places."""

    def find(self) -> list[str]:
        """All places of now; a thread calls it."""
        ...

    def is_leaving(self, place: str) -> bool:
        """What is there is to finish, and nothing new is put there."""
        ...


class PoolEngine(Protocol):
    """An engine as the pool sees it."""

    @property
    def name(self) -> str:
        """See protocols.Engine."""
        ...

    async def ready(self) -> None:
        """Returns when the engine is loaded. Raises EngineLostError."""
        ...

    async def generate(
        self, requests: Sequence[GenerationRequest], on_completion: OnCompletion
    ) -> None:
        """See protocols.Engine."""
        ...

    async def stats(self) -> EngineStats:
        """How it works, of now. Raises EngineLostError."""
        ...

    def close(self) -> None:
        """Ends the engine; its calls end with EngineLostError."""
        ...


class PoolReport(Protocol):
    """Is told what becomes of the engines."""

    def changed(self, usable: int, lost: int) -> None:
        """So many are usable now, and so many were lost just now."""
        ...

    def told(self, engine: str, stats: EngineStats) -> None:
        """What the engine of this name answered when it was asked how it works."""
        ...

    def gone(self, engine: str) -> None:
        """There will be no more of this name."""
        ...
