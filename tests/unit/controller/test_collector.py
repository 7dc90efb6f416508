"""Garbage is looked for when nothing waits, and what stays is not looked at by Python meanwhile."""

import asyncio
import gc
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from leaping import in_its_own_time
from prorl_operator.collector import PERIOD_S, collect, collect_when_quiet
from prorl_operator.queue import WorkQueue


class Ring:
    """Garbage that only a collection finds."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    threshold = gc.get_threshold()
    gc.disable()
    yield
    gc.enable()
    gc.unfreeze()
    gc.set_threshold(*threshold)


def drop_a_ring() -> weakref.ref[Any]:
    return weakref.ref(Ring())


def test_what_is_alive_is_frozen_and_what_has_become_garbage_since_goes_the_next_time() -> None:
    ring = Ring()
    gone = weakref.ref(ring)
    collect()
    assert gc.get_freeze_count() > 0
    del ring
    gc.collect()
    assert gone() is not None, "it is frozen"
    collect()
    assert gone() is None


@in_its_own_time
async def test_it_is_done_at_once_and_then_whenever_nothing_waits(queue: WorkQueue) -> None:
    first = drop_a_ring()
    task = asyncio.create_task(collect_when_quiet(lambda: not len(queue)))
    await asyncio.sleep(0)
    assert first() is None
    queue.add(("ns", "a"))
    second = drop_a_ring()
    await asyncio.sleep(3 * PERIOD_S)
    assert second() is not None
    queue.done(await queue.get())
    await asyncio.sleep(PERIOD_S)
    assert second() is None
    task.cancel()
