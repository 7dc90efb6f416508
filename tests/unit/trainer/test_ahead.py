"""Collecting a step ahead: how much time it saves, what it may never do, and how it ends."""

import asyncio
import math
import random
from collections.abc import Callable

import pytest
from prorl_trainer.algo.staleness import oldest
from prorl_trainer.errors import TrainerLostError
from prorl_trainer.types import GenerationRequest
from scripted_rollout import START, World, after, make_spec, ordinal_of, ordinals, train
from virtual_clock import run, virtual

STEPS = 40

pytestmark = pytest.mark.timeout(60)


def long_tail(median_s: float) -> Callable[[GenerationRequest], float]:
    """Log-normal with sigma 1: the 99th percentile is ten times the median."""

    def seconds(request: GenerationRequest) -> float:
        return median_s * math.exp(random.Random(request.seed).gauss(0, 1))

    return seconds


def durations(
    staleness: int, median_s: float, train_s: float
) -> tuple[float, float, list[float], World]:
    """Time of a run, its lower bound, the maximal staleness of each step, and its world."""
    work = 0.0
    inner = long_tail(median_s)

    def seconds(request: GenerationRequest) -> float:
        nonlocal work
        work += inner(request) / 8  # asked for once a token
        return inner(request)

    world = World(seconds=seconds, workers=16)
    spec = make_spec(staleness=staleness, steps=STEPS, prompts=16, samples=8)
    found, total = run(train(world, spec, update_seconds=lambda _: train_s))
    stalest = [
        float(max(oldest(g.completions, step) for g in out.kept)) for step, out in enumerate(found)
    ]
    trained = [ordinal for out in found for ordinal in ordinals(out.kept)]
    assert trained == list(range(16 * STEPS)), "every prompt once, in order"
    return total, max(work / world.workers, train_s * STEPS), stalest, world


def test_when_learning_is_the_longer_part_generation_costs_next_to_nothing() -> None:
    turns, bound, stalest, _ = durations(0, 1.0, train_s=40.0)
    assert set(stalest) == {0.0}
    ahead, same_bound, stalest, world = durations(1, 1.0, train_s=40.0)
    assert same_bound == bound
    assert max(stalest) == 1.0
    assert stalest[0] == 0.0
    assert bound / ahead >= 0.95
    assert turns / ahead > 1.3
    assert world.holds == STEPS - 1


def test_when_both_take_alike_two_parts_fit_into_the_time_of_little_more_than_one() -> None:
    turns, bound, _, _ = durations(0, 1.0, train_s=22.0)
    ahead, _, stalest, _ = durations(1, 1.0, train_s=22.0)
    assert max(stalest) == 1.0
    assert turns / ahead > 1.6
    assert bound / ahead > 0.8


def test_an_update_in_flight_leaves_completions_of_two_versions() -> None:
    world = World(seconds=long_tail(1.0))
    spec = make_spec(staleness=1, steps=5, prompts=8, samples=4)
    found, _ = run(train(world, spec, update_seconds=lambda _: 1.0))
    spans = {len(c.spans) for out in found for g in out.kept for c in g.completions}
    assert spans == {1, 2}


@virtual
async def test_a_run_that_goes_back_draws_its_prompts_again() -> None:
    world, spec = World(), make_spec(staleness=1)
    collector = world.collector(spec)
    first = await collector.collect(START)
    second = await collector.collect(after(START, first))
    await asyncio.sleep(0)
    again = await collector.collect(after(START, first))
    assert ordinals(again.kept) == ordinals(second.kept) == [4, 5, 6, 7]
    await collector.close()


@virtual
async def test_going_back_and_closing_end_what_was_begun() -> None:
    world, spec = (
        World(seconds=lambda r: 0.0 if ordinal_of(r) < 4 else 3600.0),
        make_spec(staleness=1),
    )
    collector = world.collector(spec)
    await collector.collect(START)
    while world.in_flight < 8:
        await asyncio.sleep(0)
    world.seconds = lambda _: 0.0
    assert ordinals((await collector.collect(START)).kept) == [0, 1, 2, 3]
    await collector.close()
    assert world.in_flight == 0


@virtual
async def test_what_fails_ahead_is_raised_by_the_step_that_needs_it() -> None:
    world, spec = World(), make_spec(staleness=1)
    collector = world.collector(spec)
    out = await collector.collect(START)
    world.failing = TrainerLostError("gone while weights were sent")
    await asyncio.sleep(0.01)
    with pytest.raises(TrainerLostError, match="gone"):
        await collector.collect(after(START, out))
    await collector.close()


@virtual
async def test_a_failure_ahead_that_nobody_needs_ends_nothing() -> None:
    world, spec = World(), make_spec(staleness=1)
    collector = world.collector(spec)
    await collector.collect(START)
    world.failing = TrainerLostError("gone")
    await asyncio.sleep(0.01)
    await collector.close()


@virtual
async def test_nothing_is_drawn_for_a_step_beyond_the_last() -> None:
    world, spec = World(), make_spec(staleness=1, steps=1)
    collector = world.collector(spec)
    await collector.collect(START)
    await asyncio.sleep(0.01)
    assert sorted(world.drawn) == [0, 1, 2, 3]
    assert world.holds == 0
    await collector.close()


@virtual
async def test_what_is_older_than_the_bound_is_dropped_counted_and_drawn_again() -> None:
    state = START.model_copy(update={"step": 5})
    world, spec = World(version=5, lag=2), make_spec(staleness=1)
    collector = world.collector(spec)
    begun = asyncio.create_task(collector.collect(state))
    await begun
    following = after(state, begun.result())
    world.version = following.step
    await asyncio.sleep(0.01)
    world.lag = 0
    out = await collector.collect(following)
    assert out.stale_dropped == 4 * 2
    assert all(oldest(g.completions, following.step) <= 1 for g in out.kept)
    assert ordinals(out.kept) == [4, 5, 6, 7], "the prompts were not lost with their completions"
    await collector.close()
