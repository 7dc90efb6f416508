"""A work queue in a time of its own, which leaps from timer to timer."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any

from prorl_operator.plan.observed import Key
from prorl_operator.queue import WorkQueue


class Leap(selectors.DefaultSelector):  # type: ignore[misc, valid-type]
    """Waits for nothing: time leaps to the next timer."""

    now_s = 100.0

    def select(self, timeout: float | None = None) -> Any:
        assert timeout is not None, "everybody waits and no timer runs"
        self.now_s += max(0.0, timeout)
        return super().select(0)


class LeapingLoop(asyncio.SelectorEventLoop):
    """A loop with a clock of its own."""

    def __init__(self) -> None:
        self.leap = Leap()
        super().__init__(self.leap)

    def time(self) -> float:
        return self.leap.now_s


def play(scene: Callable[[WorkQueue], Coroutine[Any, Any, None]], queue: WorkQueue) -> None:
    """Runs the scene in a time of its own."""
    with asyncio.Runner(loop_factory=LeapingLoop) as runner:
        runner.run(scene(queue))


def in_its_own_time(
    scene: Callable[[WorkQueue], Coroutine[Any, Any, None]],
) -> Callable[[], None]:
    """A test of a scene with a new queue."""

    def test() -> None:
        play(scene, WorkQueue())

    test.__name__ = scene.__name__
    return test


def now_s() -> float:
    return asyncio.get_running_loop().time() - 100.0


async def work(queue: WorkQueue) -> tuple[Key, float]:
    """The next key and when it came; its run is over at once."""
    key = await queue.get()
    queue.done(key)
    return key, round(now_s(), 6)


async def is_quiet(queue: WorkQueue, seconds: float = 1000.0) -> bool:
    """Whether no key comes for so long."""
    try:
        async with asyncio.timeout(seconds):
            await queue.get()
    except TimeoutError:
        return True
    return False
