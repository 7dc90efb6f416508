"""Canaries: when the service may be asked, and the packaged items with their verdicts."""

import asyncio
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from judging import judge
from msgspec.structs import asdict
from prorl_verifier import fingerprint
from prorl_verifier.canary import NOT_YET, Canaries, load
from prorl_verifier.metrics import Metrics
from prorl_verifier.pool import Crew, QueueFullError, WorkerPool
from prorl_verifier.pools import Pools
from prorl_verifier.sandbox.levels import Isolation
from prorl_verifier.service import Service
from prorl_verifier.wire import FAIL, PASS, VERIFIERS, Item, Verdict, unjudged

TEXTS = [canary for canary in load() if canary.item.verifier != "code"]


def verdict(item: Item, score: float) -> Verdict:
    outcome = PASS if score == 1 else FAIL
    return Verdict(id=item.id, outcome=outcome, score=score, reason="so", seconds=0.0)


def right(item: Item) -> Verdict:
    return verdict(item, next(canary.score for canary in load() if canary.item.id == item.id))


def wrong(item: Item) -> Verdict:
    return verdict(item, 1 - right(item).score) if item.id == "canary-2" else right(item)


def infra(item: Item) -> Verdict:
    return unjudged(item.id, "away") if item.id == "canary-2" else right(item)


class Script:
    """Judges round after round by a script, and fails beyond it."""

    def __init__(self, *rounds: Any) -> None:
        self.rounds = list(rounds)
        self.metrics = Metrics()
        self.canaries = Canaries(self.judge, self.metrics, canaries=load(), interval_s=60)

    async def judge(self, items: list[Item]) -> list[Verdict]:
        step = self.rounds.pop(0)
        if isinstance(step, Exception):
            raise step
        return [step(item) for item in items]

    def count(self, name: str, verifier: str = "math-verify") -> float | None:
        labels = {"verifier": verifier}
        return self.metrics.registry.get_sample_value(f"prorl_verifier_canary_{name}", labels)


def test_every_verifier_has_canaries_that_are_right_and_wrong() -> None:
    for verifier in VERIFIERS:
        scores = {canary.score for canary in load() if canary.item.verifier == verifier}
        assert scores >= {0.0, 1.0}


@pytest.mark.parametrize("canary", TEXTS, ids=lambda canary: canary.item.id)
def test_the_scorers_give_the_packaged_verdicts(canary: Any) -> None:
    assert judge(asdict(canary.item))["score"] == canary.score


async def test_the_service_may_be_asked_from_the_first_right_round_on() -> None:
    script = Script(infra, QueueFullError(), right)
    assert script.canaries.fault == NOT_YET
    assert not await script.canaries.round()
    assert not await script.canaries.round()
    assert script.canaries.fault == NOT_YET
    assert await script.canaries.round()
    assert script.canaries.fault is None
    assert (script.count("infra_errors_total"), script.count("failures_total")) == (1, 0)


async def test_a_wrong_verdict_is_blamed_until_a_round_is_right() -> None:
    script = Script(right, wrong, infra, QueueFullError(), right)
    await script.canaries.round()
    for _ in range(3):  # neither an infra-error nor a full queue acquits
        assert not await script.canaries.round()
        assert script.canaries.fault == ("canaries: math-verify scores canary-2 1, right is 0 (so)")
    assert await script.canaries.round()
    assert script.canaries.fault is None
    assert (script.count("failures_total"), script.count("failures_total", "code")) == (1, 0)


async def test_an_infra_error_does_not_make_a_ready_service_unready() -> None:
    script = Script(right, infra)
    await script.canaries.round()
    await script.canaries.round()
    assert script.canaries.fault is None


async def test_one_round_is_in_flight_at_most() -> None:
    script = Script()
    calls, release = 0, asyncio.Event()

    async def judge_slowly(items: list[Item]) -> list[Verdict]:
        nonlocal calls
        calls += 1
        await release.wait()
        return [right(item) for item in items]

    canaries = Canaries(judge_slowly, script.metrics, canaries=load(), interval_s=0.0)
    running = asyncio.create_task(canaries.run())
    for _ in range(100):
        await asyncio.sleep(0)
    assert calls == 1
    release.set()
    while calls < 3:
        await asyncio.sleep(0)
    running.cancel()
    await asyncio.wait({running})


async def test_a_service_that_judges_wrongly_takes_no_work_and_gives_no_verdict_away() -> None:
    metrics = Metrics()
    pool = WorkerPool(Crew(workers=1, timeout_s=20), max_queue=100, metrics=metrics)
    canaries = Script(right, wrong, right).canaries
    await canaries.round()
    service = Service(Pools(pool, None), canaries, metrics, token=None, isolation=Isolation.NONE)
    batch = {"items": [{"id": "a", "verifier": "math-verify", "completion": "2", "answer": "2"}]}
    async with TestClient(TestServer(service.app())) as client:
        accepted = asyncio.create_task(client.post("/v1/verify", json=batch))
        while metrics.registry.get_sample_value("prorl_verifier_queue_depth") != 1:
            await asyncio.sleep(0.01)
        await canaries.round()
        pool.open()
        for answer in (await accepted, await client.post("/v1/verify", json=batch)):
            assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
        ready = await client.get("/readyz")
        assert (ready.status, await ready.json()) == (503, {"error": canaries.fault})
        await canaries.round()
        assert (await client.post("/v1/verify", json=batch)).status == 200
        assert (await client.get("/readyz")).status == 200
    await pool.close()


def hash_in(folder: Path) -> str:
    """Of the package that lies there."""
    program = "from prorl_verifier.fingerprint import dataset_hash; print(dataset_hash())"
    command = [sys.executable, "-c", program]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


def test_the_hash_is_of_the_packages_content_not_of_its_place(tmp_path: Path) -> None:
    package = tmp_path / "prorl_verifier"
    shutil.copytree(Path(fingerprint.__file__).parent, package)
    assert hash_in(tmp_path).strip() == fingerprint.dataset_hash()
    with (package / "domains" / "stem.py").open("a") as changed:
        changed.write("# \n")
    assert hash_in(tmp_path).strip() != fingerprint.dataset_hash()
