"""The workers' pool: what it does without workers, and for whom it works."""

import asyncio
import sys
from typing import Any

import pytest
from prorl_verifier.metrics import Metrics
from prorl_verifier.pool import WorkerPool
from prorl_verifier.wire import PASS, Item


class Recording(WorkerPool):
    """Remembers what the workers were asked."""

    def __init__(self) -> None:
        super().__init__(workers=1, timeout_s=20, max_queue=10, metrics=Metrics())
        self.asked: list[str] = []

    async def _ask(self, process: asyncio.subprocess.Process, item: Item) -> dict[str, Any]:
        self.asked.append(item.id)
        return await super()._ask(process, item)


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
