"""What is made of Ray's answers, and what becomes of the asking when there is none."""

import asyncio
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from prorl_trainer.observe.ray_metrics import ClusterUse, RayMetrics
from prorl_trainer.ray_use import RayUse, use_of

NODES = [{"Alive": True}, {"Alive": False}, {"Alive": True}, {"Alive": True}]
TOTAL = {"prorl_trainer": 4.0, "prorl_rollout": 1.0, "GPU": 5.0, "object_store_memory": 300.0}
FREE = {"prorl_trainer": 1.0, "GPU": 2.5, "object_store_memory": 260.0}


def test_what_is_used_is_what_is_not_free() -> None:
    registry = CollectorRegistry()
    RayMetrics(registry).told(use_of(NODES, TOTAL, FREE))
    found = {
        (sample.name.removeprefix("prorl_ray_"), *sample.labels.values()): sample.value
        for family in registry.collect()
        for sample in family.samples
    }
    assert found == {
        ("nodes", "alive"): 3, ("nodes", "dead"): 1,
        ("resources", "trainer", "used"): 3, ("resources", "trainer", "free"): 1,
        ("resources", "rollout", "used"): 1, ("resources", "rollout", "free"): 0,
        ("resources", "gpu", "used"): 2.5, ("resources", "gpu", "free"): 2.5,
        ("object_store_bytes", "used"): 40, ("object_store_bytes", "free"): 260,
    }  # fmt: skip


def test_a_node_that_came_between_two_answers_is_not_less_than_nothing() -> None:
    use = use_of(NODES, {"prorl_rollout": 1.0}, {"prorl_rollout": 2.0})
    assert (use.used["rollout"], use.free["rollout"]) == (0, 2)


async def test_an_answer_that_fails_is_logged_and_the_next_one_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    answers: list[Any] = [ConnectionError("no GCS"), use_of(NODES, TOTAL, FREE)]

    def ask() -> ClusterUse:
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    told: asyncio.Queue[ClusterUse] = asyncio.Queue()
    use = RayUse(told.put_nowait, ask=ask, pause_s=0)
    assert (await told.get()).alive == 3
    await use.close()
    assert "no GCS" in caplog.text
