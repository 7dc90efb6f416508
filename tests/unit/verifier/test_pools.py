"""Which workers are given what; none of them is started here."""

import asyncio

import pytest
from prorl_verifier.metrics import Metrics
from prorl_verifier.pool import Crew, QueueFullError, WorkerPool
from prorl_verifier.pools import Pools, code_crew
from prorl_verifier.sandbox.budget import patience_s
from prorl_verifier.sandbox.levels import Isolation
from prorl_verifier.wire import INFRA_ERROR, Item


def make_item(name: str, verifier: str) -> Item:
    return Item(id=name, verifier=verifier, completion="2", answer="2")


def make_pool(metrics: Metrics, max_queue: int) -> WorkerPool:
    return WorkerPool(Crew(workers=1, timeout_s=1), max_queue=max_queue, metrics=metrics)


def waiting(metrics: Metrics) -> float | None:
    return metrics.registry.get_sample_value("prorl_verifier_queue_depth")


async def test_where_programs_are_not_run_code_is_an_infra_error() -> None:
    pools = Pools(make_pool(Metrics(), 10), None)
    (verdict,) = await pools.verify([make_item("a", "code")])
    assert (verdict.id, verdict.outcome, verdict.score) == ("a", INFRA_ERROR, None)
    assert verdict.reason.startswith("isolation none")


async def test_a_verifier_that_is_not_there_is_an_infra_error_of_its_item_alone() -> None:
    metrics = Metrics()
    own = make_pool(metrics, 10)
    pools = Pools(own, None, {"letters": make_pool(metrics, 10)})
    assert pools.names == [
        "code", "instruction", "letters", "math-verify", "reasoning-gym", "stem",
    ]  # fmt: skip
    (verdict,) = await pools.verify([make_item("a", "lettres")])
    assert (verdict.id, verdict.outcome, verdict.score) == ("a", INFRA_ERROR, None)
    assert verdict.reason == (
        "unknown verifier 'lettres'; this service has: code, instruction, letters, math-verify, "
        "reasoning-gym, stem"
    )


async def test_what_is_asked_of_a_custom_verifier_waits_in_its_own_pool() -> None:
    metrics, custom = Metrics(), Metrics()
    pools = Pools(make_pool(metrics, 10), None, {"letters": make_pool(custom, 10)})
    items = [make_item("a", "stem"), make_item("b", "letters"), make_item("c", "letters")]
    asked = asyncio.create_task(pools.verify(items))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert (waiting(metrics), waiting(custom)) == (1, 2)
    asked.cancel()


async def test_a_batch_for_which_one_pool_has_no_room_is_accepted_by_none() -> None:
    metrics = Metrics()
    for sizes in ((10, 0), (0, 10)):
        pools = Pools(*(make_pool(metrics, size) for size in sizes))
        with pytest.raises(QueueFullError, match="at most 0"):
            await pools.verify([make_item("a", "math-verify"), make_item("b", "code")])
    assert waiting(metrics) == 0


async def test_what_waits_in_both_pools_is_counted() -> None:
    metrics = Metrics()
    pools = Pools(make_pool(metrics, 10), make_pool(metrics, 10))
    items = [make_item("a", "stem"), make_item("b", "code"), make_item("c", "reasoning-gym")]
    asked = asyncio.create_task(pools.verify(items))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert waiting(metrics) == 3
    assert not pools.ready
    asked.cancel()


def test_a_code_worker_has_more_time_than_any_program() -> None:
    crew = code_crew(Isolation.LANDLOCK, workers=3, timeout_s=7.0)
    assert crew.timeout_s > patience_s(7.0) > 7.0
    assert crew.late_outcome == INFRA_ERROR
    assert crew.command[0] == "prorl_verifier.code_worker"
    assert crew.command[-2:] == ("2", "7.0")
