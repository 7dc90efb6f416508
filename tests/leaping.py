"""Scenes with a work queue, in a time of their own."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import virtual_clock
from prorl_operator.plan.observed import Key
from prorl_operator.queue import WorkQueue


def in_its_own_time(
    scene: Callable[[WorkQueue], Coroutine[Any, Any, None]],
) -> Callable[[], None]:
    """A test of a scene with a new queue."""

    def test() -> None:
        virtual_clock.run(scene(WorkQueue()))

    test.__name__ = scene.__name__
    return test


async def work(queue: WorkQueue) -> Key:
    """The next key; its run is over at once."""
    key = await queue.get()
    queue.done(key)
    return key


def now_s() -> float:
    """In the scene's time."""
    return asyncio.get_running_loop().time()


async def work_at(queue: WorkQueue) -> tuple[Key, float]:
    """The next key and when it came; its run is over at once."""
    return await work(queue), round(now_s(), 6)


async def is_quiet(queue: WorkQueue, seconds: float = 1000.0) -> bool:
    """Whether no key comes for so long."""
    try:
        async with asyncio.timeout(seconds):
            await queue.get()
    except TimeoutError:
        return True
    return False
