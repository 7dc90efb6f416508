"""Pods first: what a pass that made pods has to tell is told by the next one, once and whole."""

from typing import Any

import pytest
from controller_builders import COORDINATOR, ROLLOUT, TRAINER, make_ended
from prorl_operator.errors import ApiError
from prorl_operator.plan.disruption import Disruption
from prorl_operator.reconcile import EXPECTATION_CHECK_S, TELL_AFTER_S


def evict(world: Any, *slots: Any) -> None:
    for slot in slots:
        world.watch.kubelet[slot] = make_ended(slot, 143, disruption=Disruption.EVICTION)


def condition(world: Any, kind: str) -> dict[str, Any]:
    return next(one for one in world.status["conditions"] if one["type"] == kind)


@pytest.fixture
async def evicted(world: Any) -> Any:
    """Its rollout pod was evicted, and replaced a moment ago."""
    await world.start()
    evict(world, ROLLOUT)
    assert await world.reconcile(after_s=60) == TELL_AFTER_S
    return world


async def test_a_replacement_is_made_before_anything_is_told(evicted: Any) -> None:
    assert evicted.api.writes == ["create Pod q-rollout-0-2", "delete Pod q-rollout-0-1"]
    assert "PodReplaced" not in evicted.events
    assert evicted.status["disruptions"] == 0


async def test_one_status_then_tells_of_the_disruption_and_of_its_count(evicted: Any) -> None:
    await evicted.reconcile(after_s=TELL_AFTER_S)
    kinds = [write.split()[:2] for write in evicted.api.writes]
    assert kinds[0] == ["apply/status", "ProRLJob"]
    assert {tuple(kind) for kind in kinds[1:]} == {("create", "Event")}
    assert evicted.status["disruptions"] == 1
    assert condition(evicted, "Disrupted")["status"] == "True"
    assert "q-rollout-0-1" in condition(evicted, "Disrupted")["message"]
    assert "PodReplaced" in evicted.events
    await evicted.reconcile(after_s=TELL_AFTER_S)
    assert evicted.api.writes == []


async def test_a_second_replacement_before_that_loses_nothing_of_the_first(evicted: Any) -> None:
    evict(evicted, TRAINER)
    await evicted.reconcile(after_s=0.1)
    await evicted.reconcile(after_s=TELL_AFTER_S)
    assert evicted.events.count("PodReplaced") == 2
    assert evicted.status["disruptions"] == 1, "one fault: they went within 30 s"


async def test_a_crash_before_it_is_told_loses_no_count_and_counts_nothing_twice(
    evicted: Any,
) -> None:
    evicted.restart()
    for _ in range(3):
        await evicted.reconcile(after_s=TELL_AFTER_S)
    assert evicted.status["disruptions"] == 1
    assert evicted.api.names("Pod").count("q-rollout-0-2") == 1
    assert "q-rollout-0-3" not in evicted.api.names("Pod")


async def test_what_could_not_be_told_is_told_when_it_can(evicted: Any) -> None:
    evicted.api.refuse("q", status=503)
    with pytest.raises(ApiError):
        await evicted.reconcile(after_s=TELL_AFTER_S)
    assert "PodReplaced" not in evicted.events
    evicted.api.refused.clear()
    await evicted.reconcile(after_s=TELL_AFTER_S)
    assert evicted.status["disruptions"] == 1
    assert condition(evicted, "Disrupted")["status"] == "True"
    assert evicted.events.count("PodReplaced") == 1


async def test_the_end_of_a_job_is_never_only_remembered(evicted: Any) -> None:
    evicted.watch.kubelet[COORDINATOR] = make_ended(COORDINATOR, 0)
    await evicted.reconcile(after_s=0.1)
    assert evicted.status["phase"] == "Succeeded"
    assert {"PodReplaced", "Succeeded"} <= set(evicted.events)


async def test_a_new_pod_that_the_watch_does_not_show_is_looked_for(world: Any) -> None:
    await world.start()
    evict(world, ROLLOUT)
    await world.reconcile(after_s=60)
    new = world.api.objects.pop(("Pod", "q-rollout-0-2"))
    assert await world.reconcile(after_s=TELL_AFTER_S) == EXPECTATION_CHECK_S
    world.api.objects["Pod", "q-rollout-0-2"] = new
    assert await world.reconcile(after_s=TELL_AFTER_S) is None
