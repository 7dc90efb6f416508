"""What the pool asks of an engine and of the list of places."""

from collections.abc import Sequence
from typing import Protocol

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

    async def tokens_drawn(self) -> int:
        """Grows while the engine makes progress."""
        ...

    def close(self) -> None:
        """Ends the engine; its calls end with EngineLostError."""
        ...
