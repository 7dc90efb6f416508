"""Which verifier gets what: balance, pauses, trials; addresses that come and go."""

import asyncio
import socket
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prorl_trainer.verify.endpoints import (
    FIRST_PAUSE_S,
    MAX_ITEMS,
    MAX_PAUSE_S,
    MAX_REQUESTS,
    Endpoints,
)
from prorl_trainer.verify.resolve import RESOLVE_SECONDS, by_name, watch
from virtual_clock import virtual

A, B, C = (f"http://10.0.0.{i}:8000" for i in (1, 2, 3))


@dataclass
class Job:
    name: int
    failed_at: str | None = None


def make_endpoints(*urls: str) -> Endpoints:
    endpoints = Endpoints()
    endpoints.update(urls)
    return endpoints


def jobs(count: int, failed_at: str | None = None) -> deque[Job]:
    return deque(Job(i, failed_at) for i in range(count))


def assign(endpoints: Endpoints, waiting: deque[Job], now: float = 0) -> list[tuple[str, int]]:
    """(URL, items) of each request, all of which are begun."""
    found = endpoints.assign(waiting, now)
    for endpoint, given_jobs in found:
        endpoint.begin(len(given_jobs))
    return [(endpoint.url, len(given_jobs)) for endpoint, given_jobs in found]


def test_what_waits_is_shared_out_evenly() -> None:
    endpoints = make_endpoints(A, B)
    assert assign(endpoints, jobs(16)) == [(A, 8), (B, 8)]
    a, _ = endpoints.known
    a.end(8)
    assert assign(endpoints, jobs(10)) == [(A, 9), (B, 1)], "the least loaded first"


def test_an_endpoint_takes_so_many_requests_of_so_many_items_and_the_rest_waits() -> None:
    endpoints, waiting = make_endpoints(A), jobs(MAX_REQUESTS * MAX_ITEMS + 5)
    assert assign(endpoints, waiting) == [(A, MAX_ITEMS)] * MAX_REQUESTS
    assert [job.name for job in waiting] == [MAX_REQUESTS * MAX_ITEMS + i for i in range(5)]
    assert assign(endpoints, waiting) == []
    endpoints.known[0].end(MAX_ITEMS)
    assert assign(endpoints, waiting) == [(A, 5)]


def test_what_was_not_judged_at_one_goes_to_another_where_there_is_one() -> None:
    assert assign(make_endpoints(A, B), jobs(4, failed_at=A)) == [(B, 4)]
    assert assign(make_endpoints(A), jobs(4, failed_at=A)) == [(A, 4)]


def test_one_that_fails_is_set_aside_then_on_trial_until_it_answers() -> None:
    endpoints, waiting = make_endpoints(A), jobs(100)
    (a,) = endpoints.known
    assert a.failed(0)
    assert endpoints.next_change(0) == FIRST_PAUSE_S
    assert assign(endpoints, waiting, 0.9 * FIRST_PAUSE_S) == []
    assert assign(endpoints, waiting, FIRST_PAUSE_S) == [(A, 1)]
    assert assign(endpoints, waiting, FIRST_PAUSE_S) == [], "one at a time"
    a.end(1)
    a.answered()
    assert sum(items for _, items in assign(endpoints, waiting, FIRST_PAUSE_S)) == 99


def test_pauses_grow_but_what_fails_together_counts_once() -> None:
    (a,) = make_endpoints(A).known
    assert [a.failed(0) for _ in range(32)] == [True, *[False] * 31]
    assert a.aside_until == FIRST_PAUSE_S
    pauses = []
    for _ in range(8):
        now = a.aside_until
        a.failed(now)
        pauses.append(a.aside_until - now)
    assert pauses[:2] == pytest.approx([2 * FIRST_PAUSE_S, 4 * FIRST_PAUSE_S])
    assert pauses[-1] == pytest.approx(MAX_PAUSE_S)
    a.answered()
    now = a.aside_until
    a.failed(now)
    assert a.aside_until - now == pytest.approx(FIRST_PAUSE_S)


def test_a_pause_that_is_asked_for_is_kept_though_another_answer_comes() -> None:
    endpoints = make_endpoints(A, B)
    endpoints.known[0].failed(0, retry_after_s=30)
    endpoints.known[0].answered()
    assert assign(endpoints, jobs(4), 29) == [(B, 4)]
    assert dict(assign(endpoints, jobs(4), 30)) == {A: 4}


def test_an_endpoint_that_stays_keeps_its_state_and_one_that_went_gets_nothing() -> None:
    endpoints = make_endpoints(A, B)
    a, b = endpoints.known
    assign(endpoints, jobs(4))
    a.failed(0)
    endpoints.update([A, C])
    assert endpoints.known[0] is a
    assert [url for url, _ in assign(endpoints, jobs(4))] == [C]
    b.end(2)  # what it had goes on


@given(
    st.lists(st.sampled_from([None, A, B, C]), max_size=60),
    st.lists(st.tuples(st.integers(0, MAX_REQUESTS), st.booleans()), min_size=1, max_size=3),
)
def test_every_job_is_either_sent_once_or_still_waits_in_order(
    failed_at: Sequence[str | None], states: Sequence[tuple[int, bool]]
) -> None:
    endpoints = make_endpoints(*[A, B, C][: len(states)])
    for endpoint, (requests, aside) in zip(endpoints.known, states, strict=True):
        for _ in range(requests):
            endpoint.begin(1)
        if aside:
            endpoint.failed(0)
    waiting = deque(Job(i, url) for i, url in enumerate(failed_at))
    before, room = list(waiting), {e: e.room(0) for e in endpoints.known}
    found = endpoints.assign(waiting, 0)
    sent = [job for _, given_jobs in found for job in given_jobs]
    assert sorted(job.name for job in [*sent, *waiting]) == list(range(len(before)))
    assert list(waiting) == before[len(sent) :]
    assert len(sent) == min(len(before), sum(room.values()))
    assert all(len(given_jobs) <= MAX_ITEMS for _, given_jobs in found)
    assert all(
        sum(e is endpoint for e, _ in found) + endpoint.requests <= MAX_REQUESTS
        for endpoint in room
    )


@virtual
async def test_addresses_are_looked_up_now_and_then_and_soon_after_a_failure() -> None:
    times: list[float] = []
    known: list[Sequence[str]] = []
    answers: list[list[str] | OSError] = [[A], OSError("away"), [], [A, B]]
    clock = asyncio.get_running_loop().time

    async def resolve() -> Sequence[str]:
        times.append(clock())
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(found, OSError):
            raise found
        return found

    again = asyncio.Event()
    watching = asyncio.create_task(watch(resolve, found=known.append, again=again))
    await asyncio.sleep(3 * RESOLVE_SECONDS + 1)
    assert times == pytest.approx([0, RESOLVE_SECONDS, 2 * RESOLVE_SECONDS, 3 * RESOLVE_SECONDS])
    assert known == [[A], [A, B]], "what is known stands while there is no answer"
    again.set()
    await asyncio.sleep(0.1)
    assert times[-1] == pytest.approx(3 * RESOLVE_SECONDS + 1)
    watching.cancel()


async def test_every_address_of_the_name_is_an_endpoint() -> None:
    assert await by_name("http://127.0.0.1:8000")() == ["http://127.0.0.1:8000"]
    assert await by_name("http://[::1]:8000")() == ["http://[::1]:8000"]
    with pytest.raises(socket.gaierror):
        await by_name("http://nowhere.invalid:8000")()
