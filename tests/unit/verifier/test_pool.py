"""The workers' pool: what it does without workers, and for whom it works."""

import asyncio
import sys
from typing import Any

import pytest
from prorl_verifier.metrics import Metrics
from prorl_verifier.pool import Crew, WorkerPool
from prorl_verifier.wire import FAIL, PASS, Item

EXHAUSTED = {"score": 0.0, "reason": "answer exhausts the scorer", "exhausted": True}


class Recording(WorkerPool):
    """Remembers what which worker was asked; answers by the script while it lasts."""

    def __init__(self, *script: dict[str, Any]) -> None:
        super().__init__(Crew(workers=1, timeout_s=20), max_queue=10, metrics=Metrics())
        self.script = list(script)
        self.asked: list[str] = []
        self.workers: list[int] = []

    async def _ask(self, process: asyncio.subprocess.Process, item: Item) -> dict[str, Any]:
        self.asked.append(item.id)
        self.workers.append(process.pid)
        return self.script.pop(0) if self.script else await super()._ask(process, item)


def make_item(name: str) -> Item:
    return Item(id=name, verifier="math-verify", completion="2", answer="2")


async def test_a_worker_that_cannot_be_started_is_tried_until_it_can(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pool = Recording()
    with monkeypatch.context() as without_python:
        without_python.setattr(sys, "executable", "/no/python")
        pool.open()
        await asyncio.sleep(0.1)
        assert not pool.ready
    async with asyncio.timeout(60):
        (verdict,) = await pool.verify([make_item("a")])
    assert verdict.outcome == PASS
    await pool.close()


async def test_what_nobody_waits_for_is_not_judged() -> None:
    pool = Recording()
    given_up = asyncio.create_task(pool.verify([make_item("a")]))
    await asyncio.sleep(0)
    given_up.cancel()
    await asyncio.wait({given_up})
    pool.open()
    async with asyncio.timeout(60):
        await pool.verify([make_item("b")])
    assert pool.asked == ["b"]
    await pool.close()


async def test_a_worker_short_of_memory_is_replaced_and_the_item_judged_afresh() -> None:
    pool = Recording(EXHAUSTED)
    pool.open()
    async with asyncio.timeout(60):
        (verdict,) = await pool.verify([make_item("a")])
    assert verdict.outcome == PASS
    assert len(set(pool.workers)) == 2
    await pool.close()


async def test_an_item_that_exhausts_a_fresh_worker_too_earns_nothing() -> None:
    pool = Recording(EXHAUSTED, EXHAUSTED)
    pool.open()
    async with asyncio.timeout(60):
        first, second = await pool.verify([make_item("a"), make_item("b")])
    assert (first.outcome, first.score, second.outcome) == (FAIL, 0.0, PASS)
    assert pool.asked == ["a", "a", "b"]
    assert len(set(pool.workers)) == 3
    await pool.close()
