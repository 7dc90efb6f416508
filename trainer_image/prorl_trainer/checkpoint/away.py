"""A storage that does not answer when an attempt begins is waited for: that it was away for a while
costs one restart, not one for each look."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from prorl_trainer.errors import StorageAwayError

log = logging.getLogger(__name__)
T = TypeVar("T")

PATIENCE_S = 900.0
PAUSE_S = 5.0


async def until_back(
    act: Callable[[], Awaitable[T]], patience_s: float, tell: Callable[[str], None]
) -> T:
    """What `act` returns; it is done again while it raises StorageAwayError, which is raised after
    patience_s. Anything else is raised at once. `tell` takes what is waited for."""
    loop = asyncio.get_running_loop()
    end, told = loop.time() + patience_s, ""
    while True:
        try:
            return await act()
        except StorageAwayError as error:
            if loop.time() + PAUSE_S > end:
                raise
            words = f"Waiting for the storage. {error}"
        if words != told:
            log.warning("%s", words)
            tell(words)
            told = words
        await asyncio.sleep(PAUSE_S)
