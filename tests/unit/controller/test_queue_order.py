"""The work queue: what could wait comes last."""

import asyncio

from leaping import in_its_own_time, is_quiet, work
from prorl_operator.queue import WorkQueue

A, B, C = ("ns", "a"), ("ns", "b"), ("ns", "c")


@in_its_own_time
async def test_what_could_wait_comes_after_everything_that_could_not(queue: WorkQueue) -> None:
    queue.add(A, 1.0)
    await asyncio.sleep(2)
    queue.add(B)
    queue.add(C)
    assert [await work(queue) for _ in range(3)] == [B, C, A]
    assert await is_quiet(queue)


@in_its_own_time
async def test_a_key_that_can_wait_no_longer_moves_ahead_and_runs_once(queue: WorkQueue) -> None:
    for key in (A, B):
        queue.add(key, 1.0)
    await asyncio.sleep(2)
    queue.add(B)
    assert len(queue) == 2
    assert [await work(queue) for _ in range(2)] == [B, A]
    assert len(queue) == 0
    assert await is_quiet(queue)


@in_its_own_time
async def test_the_old_place_of_a_key_that_has_moved_ahead_never_makes_it_run_twice_at_once(
    queue: WorkQueue,
) -> None:
    queue.add(A, 1.0)
    await asyncio.sleep(2)
    queue.add(A)
    assert await queue.get() == A
    queue.add(A, 1.0)
    assert await is_quiet(queue)
    queue.done(A)
    assert await work(queue) == A
    assert await is_quiet(queue)
