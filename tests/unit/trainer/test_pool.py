"""The elastic pool: weights first, lost or stalled engines replaced, an end where they only die."""

import asyncio
from dataclasses import replace

import pytest
from drawing import complete
from pool_world import REQUEST, World, generate, pool_of, until
from prorl_api.spec_roles import Role
from prorl_api.wire import Notice
from prorl_trainer.control import Control
from prorl_trainer.errors import EngineLostError, WeightSyncError
from prorl_trainer.ray_driver import Node
from prorl_trainer.rollout.places import Places
from prorl_trainer.rollout.pool import MAX_DEATHS
from prorl_trainer.rollout.stall import Stall
from prorl_trainer.types import Completion


async def test_many_engines_that_worked_may_be_lost_at_once() -> None:
    world = World([f"node/{i}" for i in range(5)])
    async with pool_of(world, at_least=5) as pool:
        await pool.publish()
        assert set(await generate(pool, 5)) == {f"engine-{i}" for i in range(5)}
        world.dying = {f"engine-{i}" for i in range(4)}
        assert len(await generate(pool, 10)) == 10
        assert pool.num_usable == world.usable == 5
        assert world.lost == 4


async def test_what_a_lost_engine_has_finished_is_not_drawn_again() -> None:
    requests = [replace(REQUEST, request_id=str(i)) for i in range(4)]
    world = World(["node/0"], dying_midway={"engine-0"})
    async with pool_of(world, at_least=1) as pool:
        await pool.publish()
        found = await complete(pool.generate, requests)
        assert [c.text for c in found] == ["engine-0", "engine-1", "engine-1", "engine-1"]
        assert pool._load == {"engine-1": 0}


async def test_a_completion_that_nobody_takes_ends_the_call_and_leaves_no_load() -> None:
    def refuse(_: Completion) -> None:
        raise WeightSyncError("written by other weights")

    world = World(["node/0"])
    async with pool_of(world, at_least=1) as pool:
        await pool.publish()
        with pytest.raises(WeightSyncError):
            await pool.generate([REQUEST, replace(REQUEST, request_id="s")], refuse)
        assert pool._load == {"engine-0": 0}


async def test_many_untried_engines_may_be_lost_with_their_nodes() -> None:
    world = World([f"node/{i}" for i in range(5)])
    async with pool_of(world, at_least=1) as pool:
        await until(lambda: len(world.engines) == 5)
        world.places = ["node/4"]
        world.dying = {f"engine-{i}" for i in range(4)}
        await pool.publish()
        assert await generate(pool, 2) == ["engine-4", "engine-4"]


async def test_engines_that_only_die_end_the_run() -> None:
    world = World(["node/0"], stillborn=True)
    async with pool_of(world, at_least=1) as pool:
        with pytest.raises(EngineLostError, match="stillborn"):
            await pool.publish()
    assert len(world.engines) == MAX_DEATHS


async def test_an_engine_lost_while_it_is_sent_weights_is_replaced() -> None:
    world = World(["node/0", "node/1"])
    async with pool_of(world, at_least=2) as pool:
        world.dying = {"engine-1"}
        await pool.publish()
        assert set(await generate(pool, 2)) == {"engine-0", "engine-2"}


@pytest.mark.parametrize("answers", [True, False])
async def test_an_engine_that_hangs_is_replaced_and_its_requests_are_drawn_again(
    answers: bool,
) -> None:
    world = World(["node/0"], hanging={"engine-0"})
    if answers:
        world.answer.set()
    async with pool_of(world, at_least=1, stall_seconds=0.1) as pool:
        await pool.publish()
        assert await generate(pool, 2) == ["engine-1", "engine-1"]
        assert world.engines[0].closed
        assert world.lost == 1


async def test_a_slow_engine_that_draws_tokens_is_left_alone() -> None:
    world = World(["node/0"], turn=asyncio.Event())
    async with pool_of(world, at_least=1, stall_seconds=0.1) as pool:
        await pool.publish()
        drawing = asyncio.create_task(generate(pool, 1))
        await until(lambda: world.engines[0].tokens >= 8)  # twice the limit
        assert world.turn is not None
        world.turn.set()
        assert await drawing == ["engine-0"]


async def test_engines_say_how_they_work_also_while_nothing_is_asked_of_them() -> None:
    world, both = World(["node/0", "node/1"]), {"engine-0", "engine-1"}
    async with pool_of(world, at_least=1, stall_seconds=0.1) as pool:
        await until(lambda: {name for name, s in world.heard.items() if s.progress > 1} == both)
        assert pool.num_usable == 0


async def test_an_engine_that_dies_while_it_has_nothing_to_do_is_replaced() -> None:
    world = World(["node/0"])
    async with pool_of(world, at_least=1, stall_seconds=0.1) as pool:
        await pool.publish()
        world.vanished = {"engine-0"}
        await until(lambda: world.heard.keys() == {"engine-1"})
        assert (world.lost, world.engines[0].closed) == (1, True)


async def test_an_update_in_flight_keeps_what_is_being_drawn_and_its_load() -> None:
    world = World(["node/0", "node/1"], turn=asyncio.Event())
    async with pool_of(world, at_least=2) as pool:
        await pool.publish()
        drawing = asyncio.create_task(generate(pool, 1))
        await until(lambda: sum(pool._load.values()) == 1)
        await pool.publish()
        more = [asyncio.create_task(generate(pool, 1)) for _ in range(3)]
        await until(lambda: sorted(pool._load.values()) == [2, 2])
        assert world.turn is not None
        world.turn.set()
        found = [name for names in await asyncio.gather(drawing, *more) for name in names]
        assert sorted(found) == ["engine-0", "engine-0", "engine-1", "engine-1"]
        assert list(pool._load.values()) == [0, 0]


async def test_while_learners_change_their_weights_no_engine_is_sent_any() -> None:
    world = World(["node/0"])
    async with pool_of(world, at_least=1) as pool:
        await pool.publish()
        pool.hold()
        assert await generate(pool, 1) == ["engine-0"]
        world.dying = {"engine-0"}
        drawing = asyncio.create_task(generate(pool, 1))
        await until(lambda: len(world.engines) == 2 and "engine-1" in pool._loaded)
        assert world.sent == 1
        assert not drawing.done()
        await pool.publish()
        assert await drawing == ["engine-1"]
        assert world.sent == 2


async def test_an_engine_whose_pod_is_to_go_finishes_what_it_has_and_gets_nothing_more() -> None:
    world = World(["a/0", "b/0"], turn=asyncio.Event())
    async with pool_of(world, at_least=1) as pool:
        await until(lambda: len(pool._loaded) == 2)
        await pool.publish()
        first = asyncio.create_task(generate(pool, 1))
        await until(lambda: pool._load["engine-0"] == 1)
        world.leaving = {"a"}
        await until(lambda: pool.num_usable == world.usable == 1)
        await pool.publish()
        more = asyncio.create_task(generate(pool, 2))
        await until(lambda: pool._load["engine-1"] == 2)
        assert pool.is_on({"a"}), "it still draws"
        assert world.turn is not None
        world.turn.set()
        assert (await first, await more) == (["engine-0"], ["engine-1", "engine-1"])
        await until(lambda: not pool.is_on({"a"}))
        assert (world.lost, len(world.engines), world.engines[0].closed) == (0, 2, True)
        assert pool.is_on({"b"})


async def test_below_the_least_number_generation_waits_for_another_engine() -> None:
    world = World(["a/0"])
    async with pool_of(world, at_least=1) as pool:
        await pool.publish()
        world.leaving = {"a"}
        await until(lambda: not pool.is_on({"a"}))
        drawing = asyncio.create_task(generate(pool, 1))
        world.places = ["a/0", "b/0"]
        assert await drawing == ["engine-1"]
        assert [engine.place for engine in world.engines] == ["a/0", "b/0"]


def test_a_place_that_is_given_up_is_known_by_its_node_and_not_by_its_address() -> None:
    nodes = [make_node("old"), make_node("other", address="10.0.0.2"), make_node("head", engines=0)]
    places = Places(lambda: nodes)
    assert places.find() == ["old/0", "old/1", "other/0", "other/1"]
    assert places.give_up("10.0.0.1") == {"old"}
    assert [place for place in places.find() if places.is_leaving(place)] == ["old/0", "old/1"]
    nodes[0] = make_node("new")
    assert not any(places.is_leaving(place) for place in places.find())
    assert places.give_up("10.0.0.9") == set()


def make_node(node_id: str, *, address: str = "10.0.0.1", engines: int = 2) -> Node:
    return Node(node_id=node_id, address=address, trainer_ranks=0, engines=engines)


def test_a_rollout_pod_may_go_when_no_engine_is_there_any_more() -> None:
    control, there = Control(), ["10.0.0.1"]
    notice = Notice(pod="q-rollout-0-1", role=Role.ROLLOUT, index=0, deadline_seconds=20)
    assert control.notice(notice, "10.0.0.1").may_go, "there are no engines yet"
    control.drain = lambda address: address not in there
    assert not control.notice(notice, "10.0.0.1").may_go
    there.clear()
    assert control.notice(notice, "10.0.0.1").may_go


def test_an_engine_has_stalled_only_when_busy_without_progress_for_the_whole_limit() -> None:
    stall = Stall(limit_s=10)
    assert not stall.seen(now=0, busy=True, progress=5)
    assert not stall.seen(now=9, busy=True, progress=5)
    assert not stall.seen(now=9.5, busy=True, progress=6)
    assert not stall.seen(now=19, busy=False, progress=None)
    assert not stall.seen(now=28, busy=True, progress=None)
    assert stall.seen(now=29, busy=True, progress=6)
