"""The workers' pool with real processes: one verdict per item, whatever happens to its worker."""

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prorl_verifier.metrics import Metrics
from prorl_verifier.pool import Crew, WorkerPool
from prorl_verifier.wire import FAIL, INFRA_ERROR, PASS, Item, Verdict

QUICK, LONG = [""] * 40, ["x" * 300_000] * 20
"""So many that a worker is sent several at once afterwards; more than a socket holds."""


def make_pool(*, workers: int = 1, timeout_s: float = 60.0) -> WorkerPool:
    crew = Crew(workers=workers, timeout_s=timeout_s, command=("scripted_worker",))
    return WorkerPool(crew, max_queue=10_000, metrics=Metrics())


@asynccontextmanager
async def opened(pool: WorkerPool) -> AsyncIterator[WorkerPool]:
    pool.open()
    try:
        async with asyncio.timeout(120):
            yield pool
    finally:
        await pool.close()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "judged"


def make_items(log: Path, *completions: str, name: str = "") -> list[Item]:
    meta = {"log": str(log), "until": f"{log}.until", "daemon": f"{log}.daemon"}
    return [
        Item(id=f"{name}{i}", verifier="scripted", completion=what, answer=f"{name}{i}", meta=meta)
        for i, what in enumerate(completions)
    ]


def outcomes(verdicts: Sequence[Verdict]) -> list[str]:
    return [verdict.outcome for verdict in verdicts]


async def is_dead(process: psutil.Process) -> None:
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        await asyncio.sleep(0.01)


@given(
    st.lists(st.sampled_from(["", "hang", "die", "die once", "exhaust", "babble"]), max_size=12),
    st.integers(1, 2),
)
@settings(
    max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
async def test_every_item_has_the_verdict_that_it_alone_has_earned(
    tmp_path: Path, completions: list[str], workers: int
) -> None:
    earned = {"hang": FAIL, "die": INFRA_ERROR, "exhaust": FAIL, "babble": INFRA_ERROR}
    log = tmp_path / str(len(list(tmp_path.iterdir())))
    async with opened(make_pool(workers=workers, timeout_s=0.3)) as pool:
        verdicts = await pool.verify(make_items(log, *completions))
    assert [verdict.id for verdict in verdicts] == [str(i) for i in range(len(completions))]
    assert outcomes(verdicts) == [earned.get(what, PASS) for what in completions]


async def test_of_several_that_a_worker_has_only_the_one_that_hangs_is_late(log: Path) -> None:
    async with opened(make_pool(timeout_s=1.0)) as pool:
        await pool.verify(make_items(log, *QUICK, name="q"))
        verdicts = await pool.verify(make_items(log, "", "", "hang", *QUICK))
    assert outcomes(verdicts) == [PASS, PASS, FAIL, *[PASS] * len(QUICK)]
    assert verdicts[2].reason == "timed out after 1 s"
    assert Counter(log.read_text().split())["2"] == 1


async def test_of_several_that_a_worker_has_only_the_one_it_dies_of_is_judged_again(
    log: Path,
) -> None:
    async with opened(make_pool()) as pool:
        await pool.verify(make_items(log, *QUICK, name="q"))
        verdicts = await pool.verify(make_items(log, "", "die once", "", "die", *QUICK))
    assert outcomes(verdicts) == [PASS, PASS, PASS, INFRA_ERROR, *[PASS] * len(QUICK)]
    assert verdicts[3].reason.startswith("2 workers died")
    assert {n for n, times in Counter(log.read_text().split()).items() if times > 1} == {"1", "3"}


@pytest.mark.parametrize("others", [QUICK, LONG], ids=["it has them", "it has no room for them"])
async def test_what_waits_behind_a_slow_one_is_judged_by_another_worker(
    log: Path, others: list[str]
) -> None:
    async with opened(make_pool(workers=2)) as pool:
        await pool.verify(make_items(log, *QUICK * 2, name="q"))
        judged = asyncio.create_task(pool.verify(make_items(log, "wait", *others)))
        while not {str(1 + i) for i in range(len(others))} <= set(log.read_text().split()):
            await asyncio.sleep(0.01)
        Path(f"{log}.until").touch()
        assert outcomes(await judged) == [PASS] * (1 + len(others))


async def test_a_worker_that_dies_of_what_others_have_judged_meanwhile_takes_nothing_with_it(
    log: Path,
) -> None:
    async with opened(make_pool(workers=2)) as pool:
        await pool.verify(make_items(log, *QUICK * 2, name="q"))
        judged = asyncio.create_task(pool.verify(make_items(log, "wait", "", "die", *QUICK)))
        while not {str(1 + i) for i in range(2 + len(QUICK))} <= set(log.read_text().split()):
            await asyncio.sleep(0.01)
        Path(f"{log}.until").touch()
        verdicts = await judged
        later = await pool.verify(make_items(log, *QUICK, name="l"))
    assert outcomes(verdicts) == [PASS, PASS, INFRA_ERROR, *[PASS] * len(QUICK)]
    assert outcomes(later) == [PASS] * len(QUICK)


async def test_the_end_of_an_idle_worker_is_charged_to_no_item(log: Path) -> None:
    async with opened(make_pool()) as pool:
        (first,) = await pool.verify(make_items(log, "", name="a"))
        worker = psutil.Process(int(first.reason.split()[1]))
        worker.kill()
        await is_dead(worker)
        (second,) = await pool.verify(make_items(log, "die once"))
    assert second.outcome == PASS


async def test_a_worker_is_replaced_by_a_fork_of_the_same_process(log: Path) -> None:
    async with opened(make_pool(timeout_s=0.3)) as pool:
        verdicts = await pool.verify(make_items(log, "", "hang", "", "die", ""))
    forkers, workers = zip(*(verdicts[i].reason.split() for i in (0, 2, 4)), strict=True)
    assert (len(set(forkers)), len(set(workers))) == (1, 3)


async def test_what_a_scorer_prints_is_no_verdict(log: Path) -> None:
    async with opened(make_pool()) as pool:
        verdicts = await pool.verify(make_items(log, "print", "", "print"))
    assert [(verdict.score, verdict.reason) for verdict in verdicts[::2]] == [(0.0, "real")] * 2
    assert verdicts[1].score == 1.0


async def test_when_the_process_that_forks_dies_all_goes_on_with_another(log: Path) -> None:
    async with opened(make_pool(workers=2)) as pool:
        (first,) = await pool.verify(make_items(log, "", name="a"))
        forker = psutil.Process(int(first.reason.split()[0]))
        workers = forker.children()
        judged = asyncio.create_task(pool.verify(make_items(log, "", "wait", "")))
        while "1" not in log.read_text().split():
            await asyncio.sleep(0.01)
        forker.kill()
        for worker in workers:
            await is_dead(worker)
        Path(f"{log}.until").touch()
        assert outcomes(await judged) == [PASS, PASS, PASS]


async def test_the_process_that_forks_has_one_thread_with_the_scorers_imported() -> None:
    crew = Crew(workers=1, timeout_s=60)
    async with opened(WorkerPool(crew, max_queue=10, metrics=Metrics())) as pool:
        item = Item(id="a", verifier="math-verify", completion="\\boxed{x+x}", answer="2x")
        assert outcomes(await pool.verify([item])) == [PASS]
        (forker,) = filter(is_forker, psutil.Process().children())
        assert forker.num_threads() == 1


def is_forker(process: psutil.Process) -> bool:
    try:
        return "prorl_verifier.worker" in process.cmdline()
    except psutil.NoSuchProcess:  # a child of an earlier test that nobody has waited for yet
        return False


async def test_what_a_dead_worker_has_left_is_gone_with_the_verdict(log: Path) -> None:
    async with opened(make_pool()) as pool:
        (verdict,) = await pool.verify(make_items(log, "leave a daemon and die"))
        assert verdict.outcome == INFRA_ERROR
        assert not psutil.pid_exists(int(Path(f"{log}.daemon").read_text()))


async def test_when_the_pool_is_closed_no_worker_is_left_and_what_waits_is_an_infra_error(
    log: Path,
) -> None:
    async with opened(make_pool()) as pool:
        (first,) = await pool.verify(make_items(log, "", name="a"))
        judged = asyncio.create_task(pool.verify(make_items(log, "wait", "")))
        while "0" not in log.read_text().split():
            await asyncio.sleep(0.01)
    assert outcomes(await judged) == [INFRA_ERROR, INFRA_ERROR]
    assert [pid for pid in first.reason.split() if psutil.pid_exists(int(pid))] == []


async def test_what_nobody_waits_for_is_not_judged(log: Path) -> None:
    pool = make_pool()
    given_up = asyncio.create_task(pool.verify(make_items(log, "", name="a")))
    await asyncio.sleep(0)
    given_up.cancel()
    await asyncio.wait({given_up})
    async with opened(pool):
        await pool.verify(make_items(log, "", name="b"))
    assert log.read_text().split() == ["b0"]


async def test_a_worker_that_hangs_over_what_nobody_waits_for_is_replaced(log: Path) -> None:
    async with opened(make_pool(timeout_s=600)) as pool:
        given_up = asyncio.create_task(pool.verify(make_items(log, "hang", name="a")))
        while not log.exists():
            await asyncio.sleep(0.01)
        given_up.cancel()
        assert outcomes(await pool.verify(make_items(log, ""))) == [PASS]


async def test_a_worker_short_of_memory_is_replaced_and_the_item_judged_afresh(log: Path) -> None:
    async with opened(make_pool()) as pool:
        verdicts = await pool.verify(make_items(log, "", "exhaust once", ""))
    assert outcomes(verdicts) == [PASS, PASS, PASS]
    before, again, after = (verdict.reason for verdict in verdicts)
    assert before != again == after


async def test_an_item_that_exhausts_a_fresh_worker_too_earns_nothing(log: Path) -> None:
    async with opened(make_pool()) as pool:
        first, second = await pool.verify(make_items(log, "exhaust", ""))
    assert (first.outcome, first.score, second.outcome) == (FAIL, 0.0, PASS)
    assert log.read_text().split() == ["0", "0", "1"]


async def test_what_a_full_worker_cannot_judge_waits_for_a_fresh_one_though_another_is_idle(
    log: Path,
) -> None:
    async with opened(make_pool(workers=2)) as pool:
        used: set[str] = set()
        while len(used) < 2:
            used |= {v.reason for v in await pool.verify(make_items(log, *QUICK, name="q"))}
        (verdict,) = await pool.verify(make_items(log, "exhaust unless fresh"))
    assert verdict.outcome == PASS
    assert verdict.reason not in used


async def test_a_worker_that_cannot_be_started_is_tried_until_it_can(
    monkeypatch: pytest.MonkeyPatch, log: Path
) -> None:
    python = sys.executable
    monkeypatch.setattr(sys, "executable", "/no/python")
    async with opened(make_pool()) as pool:
        await asyncio.sleep(0.1)
        assert not pool.ready
        monkeypatch.setattr(sys, "executable", python)
        assert outcomes(await pool.verify(make_items(log, ""))) == [PASS]


async def test_a_worker_that_is_stopped_is_killed_at_the_limit(log: Path) -> None:
    async with opened(make_pool(timeout_s=0.5)) as pool:
        (first,) = await pool.verify(make_items(log, "", name="a"))
        os.kill(int(first.reason.split()[1]), signal.SIGSTOP)
        verdicts = await pool.verify(make_items(log, "", ""))
    assert outcomes(verdicts) == [FAIL, PASS]
