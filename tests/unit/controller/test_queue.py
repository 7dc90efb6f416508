"""The work queue: no key twice at once, nothing lost, back-off that grows and ends."""

import asyncio
import time
from itertools import pairwise, permutations

import pytest
import virtual_clock
from hypothesis import given, settings
from hypothesis import strategies as st
from leaping import in_its_own_time, is_quiet, now_s, work, work_at
from prorl_operator.plan.observed import Key
from prorl_operator.queue import BASE_S, CAP_S, WorkQueue

A, B, C = ("ns", "a"), ("ns", "b"), ("ns", "c")


@in_its_own_time
async def test_keys_come_in_the_order_of_their_arrival_and_each_once(queue: WorkQueue) -> None:
    for key in (B, A, B, C, A):
        queue.add(key)
    assert len(queue) == 3
    assert [await work_at(queue) for _ in range(3)] == [(B, 0), (A, 0), (C, 0)]
    assert await is_quiet(queue)


@in_its_own_time
async def test_a_key_is_never_worked_on_twice_at_once(queue: WorkQueue) -> None:
    queue.add(A)
    assert await queue.get() == A
    queue.add(A)
    queue.add(A, 5.0)
    assert await is_quiet(queue)


@in_its_own_time
async def test_a_key_added_while_busy_runs_once_more(queue: WorkQueue) -> None:
    queue.add(A)
    await queue.get()
    for _ in range(3):
        queue.add(A)
    queue.done(A)
    assert await work_at(queue) == (A, 0)
    assert await is_quiet(queue)


@in_its_own_time
async def test_of_several_delays_the_earliest_wins_and_runs_once(queue: WorkQueue) -> None:
    for delays in permutations((30, 10, 20)):
        started_s = now_s()
        for delay_s in delays:
            queue.add(A, delay_s)
        assert await work_at(queue) == (A, started_s + 10)
        assert await is_quiet(queue, 100)


@in_its_own_time
async def test_a_delay_of_one_key_is_none_of_anothers(queue: WorkQueue) -> None:
    queue.add(A, 20)
    queue.add(B, 10)
    queue.add(C)
    assert [await work_at(queue) for _ in range(3)] == [(C, 0), (B, 10), (A, 20)]


@in_its_own_time
async def test_a_delay_that_ends_while_the_key_is_busy_is_not_lost(queue: WorkQueue) -> None:
    queue.add(A, 5)
    queue.add(A)
    await queue.get()
    await asyncio.sleep(10)
    assert len(queue) == 0
    queue.done(A)
    assert await work_at(queue) == (A, 10)


@in_its_own_time
async def test_an_event_does_not_wait_for_the_back_off(queue: WorkQueue) -> None:
    queue.add(A)
    await queue.get()
    queue.retry(A)
    queue.done(A)
    queue.add(A)
    assert await work_at(queue) == (A, 0)


@in_its_own_time
async def test_a_failed_run_comes_back_after_its_back_off(queue: WorkQueue) -> None:
    queue.add(A)
    await queue.get()
    delay_s = queue.retry(A)
    queue.done(A)
    assert await work_at(queue) == (A, pytest.approx(delay_s, abs=2e-6)), "work_at rounds"


@in_its_own_time
async def test_back_off_doubles_within_its_jitter_up_to_the_cap(queue: WorkQueue) -> None:
    delays = [queue.retry(A) for _ in range(40)]
    for number, delay_s in enumerate(delays):
        nominal = BASE_S * 2.0**number
        assert min(CAP_S, 0.8 * nominal) <= delay_s <= min(CAP_S, 1.2 * nominal)
    growing = [delay_s for delay_s in delays if delay_s < CAP_S]
    assert all(before < after for before, after in pairwise(growing))
    assert delays[-1] == CAP_S
    assert queue.retries == 40


@in_its_own_time
async def test_keys_that_failed_together_do_not_come_back_together(queue: WorkQueue) -> None:
    assert len({queue.retry(("ns", str(number))) for number in range(50)}) > 40


@in_its_own_time
async def test_a_good_run_starts_the_back_off_anew_for_its_key_only(queue: WorkQueue) -> None:
    for key in (A, B):
        for _ in range(10):
            queue.retry(key)
    queue.forget(A)
    assert queue.retry(A) <= 1.2 * BASE_S
    assert queue.retry(B) > 100 * BASE_S


@in_its_own_time
async def test_a_key_that_fails_for_weeks_still_waits_no_longer_than_the_cap(
    queue: WorkQueue,
) -> None:
    assert max(queue.retry(A) for _ in range(5000)) == CAP_S


class Workers:
    """Adds, takes and ends keys in any order; knows what must still be worked on."""

    def __init__(self, queue: WorkQueue) -> None:
        self.queue = queue
        self.busy: list[Key] = []
        self.owed: set[Key] = set()

    async def add(self, key: Key) -> None:
        self.queue.add(key)
        self.owed.add(key)

    async def add_later(self, key: Key) -> None:
        self.queue.add(key, 3.0)
        self.owed.add(key)

    async def take(self, _: Key) -> None:
        if len(self.queue):
            key = await self.queue.get()
            assert key not in self.busy
            self.busy.append(key)
            self.owed.discard(key)

    async def end(self, _: Key) -> None:
        if self.busy:
            self.queue.done(self.busy.pop())

    async def fail(self, _: Key) -> None:
        if self.busy:
            key = self.busy.pop()
            self.queue.retry(key)
            self.queue.done(key)
            self.owed.add(key)

    async def wait(self, _: Key) -> None:
        await asyncio.sleep(1.0)


STEPS = st.tuples(
    st.sampled_from(["add", "add_later", "take", "end", "fail", "wait"]),
    st.sampled_from([A, B, C]),
)


@settings(deadline=None, max_examples=100)
@given(st.lists(STEPS, max_size=40))
def test_whatever_happens_no_key_is_busy_twice_and_no_add_is_lost(
    steps: list[tuple[str, Key]],
) -> None:
    async def scene(queue: WorkQueue) -> None:
        workers = Workers(queue)
        for step, key in steps:
            await getattr(workers, step)(key)
        while workers.busy:
            await workers.end(A)
        while workers.owed:
            workers.owed.discard(await work(queue))

    virtual_clock.run(scene(WorkQueue()))


async def test_the_oldest_wait_ends_when_a_worker_takes_the_key() -> None:
    queue = WorkQueue()
    assert queue.oldest_wait_s == 0
    queue.add(A)
    await asyncio.to_thread(time.sleep, 0.001)
    first = queue.oldest_wait_s
    queue.add(A)
    assert queue.oldest_wait_s >= first > 0
    await queue.get()
    assert queue.oldest_wait_s == 0
