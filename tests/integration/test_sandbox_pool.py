"""Code workers in their sandboxes: who can be read, who dies, what becomes of the item."""

import asyncio
import textwrap
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psutil
import pytest
from prorl_verifier.metrics import Metrics
from prorl_verifier.pool import WorkerPool
from prorl_verifier.pools import code_crew
from prorl_verifier.sandbox.levels import Isolation
from prorl_verifier.wire import FAIL, INFRA_ERROR, PASS, Item
from sandboxes import ANSWER, LEVELS, RIGHT, SLEEPS, STRONGEST


def make_item(name: str, completion: str) -> Item:
    return Item(id=name, verifier="code", completion=completion, answer=ANSWER)


async def ready_worker(pool: WorkerPool, but: int = 0) -> psutil.Process:
    """The pool's worker, as soon as it can take items."""
    while True:
        infos = psutil.process_iter(["cmdline", "ppid"])
        below = {p.pid for p in psutil.Process().children(recursive=True)}
        code = [p for p in infos if "prorl_verifier.code_worker" in (p.info["cmdline"] or ())]
        ours = {p.pid: p for p in code if p.pid in below}
        workers = [p for p in ours.values() if p.info["ppid"] in ours and p.pid != but]
        if workers and pool.ready:
            return workers[0]
        await asyncio.sleep(0.01)


async def program_below(worker: psutil.Process) -> psutil.Process:
    """The process of a program below the worker, as soon as it is there."""
    zygotes = 2 if STRONGEST >= Isolation.NAMESPACES else 1
    while len(below := worker.children(recursive=True)) <= zygotes:
        await asyncio.sleep(0.01)
    return below[-1]


@asynccontextmanager
async def code_pool(timeout_s: float, level: Isolation = STRONGEST) -> AsyncIterator[WorkerPool]:
    crew = code_crew(level, workers=1, timeout_s=timeout_s)
    pool = WorkerPool(crew, max_queue=10, metrics=Metrics())
    pool.open()
    yield pool
    await pool.close()


@pytest.mark.parametrize("level", LEVELS, ids=lambda level: level.word)
async def test_no_process_of_the_service_can_be_read(level: Isolation) -> None:
    program = """
        import os

        def readable():
            try:
                processes = [int(name) for name in os.listdir("/proc") if name.isdigit()]
            except OSError:
                return "nothing is seen"
            ours = [pid for pid in processes if pid != os.getpid() and is_ours(pid)]
            return [pid for pid in ours if has_memory(pid)] if len(ours) > 1 else "too few"

        def is_ours(pid):
            try:
                words = open(f"/proc/{pid}/cmdline").read()
                return "prorl_verifier.code_worker" in words or "prorl_verifier.sandbox" in words
            except OSError:
                return False

        def has_memory(pid):
            try:
                return open(f"/proc/{pid}/mem", "rb") is not None
            except OSError:
                return False
    """
    completion = f"```python\n{textwrap.dedent(program)}\n```"
    expected = [] if level is Isolation.SECCOMP else "nothing is seen"
    answer = {"function": "readable", "tests": [{"args": [], "expected": expected}]}
    async with code_pool(timeout_s=10.0, level=level) as pool:
        (verdict,) = await pool.verify(
            [Item(id="a", verifier="code", completion=completion, answer=answer)]
        )
    assert verdict.outcome == PASS, verdict


@pytest.mark.timeout(120)
async def test_a_killed_worker_takes_its_program_along_and_the_item_is_judged_by_another() -> None:
    async with code_pool(timeout_s=3.0) as pool:
        worker = await ready_worker(pool)
        judged = asyncio.create_task(pool.verify([make_item("a", SLEEPS), make_item("b", RIGHT)]))
        program = await program_below(worker)
        worker.kill()
        assert psutil.wait_procs([program], timeout=10)[1] == []
        verdicts = await judged
    assert [(v.outcome, v.score) for v in verdicts] == [(FAIL, 0.0), (PASS, 1.0)]


@pytest.mark.timeout(120)
async def test_an_item_whose_worker_dies_twice_is_an_infra_error_without_a_score() -> None:
    async with code_pool(timeout_s=60.0) as pool:
        judged = asyncio.create_task(pool.verify([make_item("a", SLEEPS)]))
        killed = 0
        for _ in range(2):
            worker = await ready_worker(pool, but=killed)
            await program_below(worker)
            worker.kill()
            killed = worker.pid
        (verdict,) = await judged
    assert (verdict.outcome, verdict.score) == (INFRA_ERROR, None)


@pytest.mark.parametrize(
    ("answer", "words"),
    [({"tests": []}, "answer.tests"), ("x", "answer: must be an object"), ({}, "answer.tests")],
)
async def test_an_answer_without_tests_is_an_infra_error(answer: Any, words: str) -> None:
    async with code_pool(timeout_s=5.0) as pool:
        (verdict,) = await pool.verify(
            [Item(id="a", verifier="code", completion=RIGHT, answer=answer)]
        )
    assert (verdict.outcome, verdict.score) == (INFRA_ERROR, None)
    assert words in verdict.reason
