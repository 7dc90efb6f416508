"""An event loop whose time passes only when nothing else is left to do: hours in milliseconds."""

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class VirtualClock(asyncio.SelectorEventLoop):
    """asyncio as it is, but for the clock."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        select = self._selector.select  # type: ignore[attr-defined]

        def pass_time(timeout: float | None = None) -> Any:
            assert timeout is not None, "everybody waits, and nothing will ever happen"
            self._now += timeout
            return select(0)

        self._selector.select = pass_time  # type: ignore[attr-defined]

    def time(self) -> float:
        return self._now


def run(main: Coroutine[Any, Any, T]) -> tuple[T, float]:
    """The result, and the seconds that have passed."""
    loop = VirtualClock()
    try:
        return loop.run_until_complete(main), loop.time()
    finally:
        loop.close()


def virtual(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """The test under this clock: what can happen within a sleep has happened after it."""

    @functools.wraps(test)
    def under_clock() -> None:
        run(test())

    return under_clock
