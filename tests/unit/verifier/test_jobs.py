"""Items on their way to a verdict, without a worker."""

import gc
import weakref

from prorl_verifier.jobs import MAX_AHEAD_BYTES, Batch, Flight, Run, Waiting
from prorl_verifier.runs import Answer
from prorl_verifier.wire import FAIL, INFRA_ERROR, PASS, Item, Verdict

OWN_S = 60.0
"""Of work ahead: as many as a worker is ever sent, once its pace is known."""


def make_run(number: int, name: str = "", completion: str = "") -> Run:
    """A batch of its own."""
    items = [
        Item(id=f"{name}{n}", verifier="v", completion=completion, answer="") for n in range(number)
    ]
    return Run(batch=Batch(items), items=items)


def make_waiting(*runs: Run) -> Waiting:
    waiting = Waiting()
    for run in runs:
        waiting.add(run)
    return waiting


def make_flight() -> Flight:
    """Of a worker that is known to be quick."""
    return Flight(ahead_s=OWN_S, _pace_s=1e-6)


def ids(run: Run | None) -> list[str]:
    return [item.id for item in run.items] if run is not None else []


def in_flight(flight: Flight) -> list[str]:
    return [item.id for run in flight.runs for item in run.items]


def right(number: int) -> list[Answer]:
    return [Answer(seconds=1e-5, score=1.0) for _ in range(number)]


def make_verdict(name: str, outcome: str) -> Verdict:
    return Verdict(id=name, outcome=outcome, score=None, reason="", seconds=0.1)


async def test_a_batch_is_answered_in_its_own_order_with_the_first_verdict_of_each() -> None:
    batch = make_run(2).batch
    batch.put([make_verdict("1", PASS), make_verdict("1", FAIL)])
    assert not batch.answered.done()
    batch.put([make_verdict("0", FAIL)])
    batch.put([make_verdict("0", PASS)])
    assert [(v.id, v.outcome) for v in await batch.answered] == [("0", FAIL), ("1", PASS)]


async def test_what_has_its_verdicts_is_freed_without_the_garbage_collector() -> None:
    run = make_run(2)
    alive = weakref.ref(run.batch)
    gc.disable()
    try:
        run.finish(PASS, 1.0, "", 0.1)
        del run
        assert alive() is None
    finally:
        gc.enable()


async def test_a_batch_is_taken_in_parts_in_order_and_what_waits_is_counted_in_items() -> None:
    waiting = make_waiting(make_run(5, "a"), make_run(1, "b"))
    assert len(waiting) == 6
    taken = [ids(waiting.take(3)), ids(waiting.take(3)), ids(waiting.take(3))]
    assert taken == [["a0", "a1", "a2"], ["a3", "a4"], ["b0"]]
    assert (len(waiting), waiting.take(3)) == (0, None)


async def test_nobody_is_given_what_has_its_verdict_or_is_kept_for_a_fresh_worker() -> None:
    run, given_up = make_run(4), make_run(2, "x")
    waiting = make_waiting(given_up, run)
    given_up.batch.answered.cancel()
    run.batch.put([make_verdict("1", PASS)])
    run.batch.crashes["2"] += 1
    assert ids(waiting.take(9)) == ["0", "3"]
    waiting.put_back([make_run(1, "y"), Run(batch=run.batch, items=run.batch._items)])
    assert len(waiting) == 3
    assert [ids(waiting.take(9)), ids(waiting.take(9))] == [["y0"], ["0", "3"]]


async def test_answers_are_given_to_the_items_in_order_wherever_a_run_ends() -> None:
    first, second = make_run(2, "a"), make_run(3, "b")
    flight = make_flight()
    flight.load(make_waiting(first, second), 1)
    assert in_flight(flight) == ["a0", "a1", "b0", "b1", "b2"]
    flight.land([*right(3), Answer(seconds=0.0, score=0.5, reason="half")])
    assert in_flight(flight) == ["b2"]
    assert [v.outcome for v in await first.batch.answered] == [PASS, PASS]
    flight.land([Answer(seconds=0.0, error="no such thing"), *right(1)])  # one too many
    said = [(v.id, v.outcome, v.score, v.reason) for v in await second.batch.answered]
    assert said == [
        ("b0", PASS, 1.0, ""), ("b1", FAIL, 0.5, "half"),
        ("b2", INFRA_ERROR, None, "no such thing"),
    ]  # fmt: skip


async def test_a_worker_is_sent_no_more_than_its_share_and_again_when_half_is_judged() -> None:
    waiting, flight = make_waiting(make_run(100)), make_flight()
    flight.load(waiting, 2)
    assert (len(flight), len(waiting)) == (50, 50)
    slow = Flight(ahead_s=1.0, _pace_s=0.1)
    slow.load(waiting, 1)
    assert len(slow) == 10
    slow.land([Answer(seconds=0.1, score=1.0)] * 4)
    assert slow.load(waiting, 1) == b""
    slow.land([Answer(seconds=0.1, score=1.0)])
    slow.load(waiting, 1)
    assert len(slow) == 10


async def test_however_large_items_are_a_worker_is_sent_at_least_one_and_little_more() -> None:
    half = "x" * (MAX_AHEAD_BYTES // 2)
    waiting, flight = make_waiting(make_run(9, completion=half)), make_flight()
    sent = flight.load(waiting, 1)
    assert len(sent) < 2 * MAX_AHEAD_BYTES
    assert in_flight(flight) == [str(n) for n in range(len(flight))]
    left = [name for _ in range(9) for name in ids(waiting.take(9))]
    assert left == [str(n) for n in range(len(flight), 9)]
    flight.land(right(len(flight)))
    flight.load(make_waiting(make_run(2, "y", 3 * half)), 1)
    assert in_flight(flight) == ["y0"]


async def test_what_was_offered_to_others_is_not_offered_again_and_may_still_be_answered() -> None:
    run, later = make_run(3), make_run(2, "b")
    waiting, flight = make_waiting(run), make_flight()
    flight.load(waiting, 1)
    waiting.put_back(flight.offer())
    assert (in_flight(flight), len(waiting)) == (["0", "1", "2"], 2)
    assert flight.load(waiting, 1) == b""
    flight.land(right(1))
    flight.start_clock()
    assert ids(waiting.take(9)) == ["1", "2"]
    flight.load(make_waiting(later), 1)
    waiting.put_back(flight.offer())
    assert [ids(waiting.take(9)), waiting.take(9)] == [["b0", "b1"], None]
    assert [ids(one) for one in flight.own()] == []
    flight.land(right(2))
    assert [v.outcome for v in await run.batch.answered] == [PASS] * 3


async def test_what_a_worker_fails_over_is_kept_for_a_fresh_one_whoever_was_offered_it() -> None:
    waiting, flight = make_waiting(make_run(3)), make_flight()
    flight.load(waiting, 1)
    waiting.put_back(flight.offer())
    flight.land(right(1))
    suspect = flight.take_off(1)
    suspect.batch.crashes["1"] += 1
    fresh = Flight(ahead_s=OWN_S, suspect=suspect)
    fresh.load(make_waiting(), 1)
    assert [ids(run) for run in fresh.own()] == [["1"]]
    assert ids(waiting.take(9)) == ["2"]
