"""One pass over one job: what it writes, in which order, and when it looks again."""

from typing import Any

import pytest
from controller_builders import COORDINATOR, ROLLOUT, TRAINER, UID, make_ended
from prorl_operator.build.secrets import Purpose, token
from prorl_operator.errors import ApiError
from prorl_operator.link.coordinator import Target
from prorl_operator.plan.disruption import Disruption
from prorl_operator.reconcile import EXPECTATION_CHECK_S, TELL_AFTER_S

KEY = ("team", "q")


async def test_a_first_pass_makes_everything_and_the_next_one_writes_the_status(world: Any) -> None:
    assert await world.reconcile() == TELL_AFTER_S
    assert len(world.api.names("Pod")) == 4
    assert "apply/status ProRLJob q" not in world.api.writes
    await world.reconcile(after_s=TELL_AFTER_S)
    assert world.api.writes == ["apply/status ProRLJob q"]
    assert world.status["phase"] == "Pending"


async def test_a_converged_job_costs_no_write_even_after_a_restart(world: Any) -> None:
    await world.start()
    await world.reconcile(after_s=60)
    assert world.api.writes == []
    world.restart()
    await world.reconcile(after_s=60)
    assert world.api.writes == ["apply Secret q-tokens"]


async def test_the_status_is_written_before_the_events_that_tell_of_it(world: Any) -> None:
    await world.start()
    world.watch.kubelet[COORDINATOR] = make_ended(COORDINATOR, 0)
    await world.reconcile(after_s=60)
    kinds = [write.split()[:2] for write in world.api.writes]
    assert kinds[-2:] == [["apply/status", "ProRLJob"], ["create", "Event"]]
    assert "Succeeded" in world.events


async def test_no_event_tells_of_a_status_that_could_not_be_written(world: Any) -> None:
    await world.start()
    told = world.events
    world.watch.kubelet[COORDINATOR] = make_ended(COORDINATOR, 0)
    world.api.refuse("q", status=503)
    with pytest.raises(ApiError):
        await world.reconcile(after_s=60)
    assert world.events == told


async def test_progress_alone_waits_for_the_end_of_the_pause(world: Any) -> None:
    await world.start()
    world.trains(8)
    await world.reconcile(after_s=60)
    assert world.status["progress"]["step"] == 8
    world.trains(9)
    assert await world.reconcile(after_s=0.5) == 1.5
    assert world.api.writes == []
    await world.reconcile(after_s=1.5)
    assert world.status["progress"]["step"] == 9


async def test_a_replacement_is_told_even_while_progress_waits(world: Any) -> None:
    await world.start()
    at = world.now
    world.watch.kubelet[ROLLOUT] = make_ended(ROLLOUT, 0, started_at=at, finished_at=at)
    await world.reconcile()
    world.trains(8)
    await world.reconcile(after_s=9.5)
    world.trains(9)
    await world.reconcile(after_s=0.5)
    assert "q-rollout-0-2" in world.api.names("Pod")
    await world.reconcile(after_s=TELL_AFTER_S)
    assert "PodReplaced" in world.events


async def test_a_quota_that_keeps_a_trainer_out_uses_up_no_restarts(world: Any) -> None:
    await world.start()
    world.watch.kubelet[TRAINER] = make_ended(TRAINER, 19)
    world.api.refuse("q-trainer-0-2")
    for incarnation in range(1, 12):
        ended = make_ended(ROLLOUT, 1, incarnation=incarnation, disruption=Disruption.EVICTION)
        world.watch.kubelet[ROLLOUT] = ended
        await world.reconcile(after_s=60)
    assert "q-rollout-0-12" in world.api.names("Pod")
    world.api.refused.clear()
    await world.reconcile(after_s=60)
    await world.reconcile(after_s=60)
    assert (world.status["restarts"], world.status["restartsCounted"]) == (1, 1)


async def test_a_refusal_is_told_and_looked_at_again(world: Any) -> None:
    world.api.refuse("q-trainer-0-1")
    await world.reconcile()
    assert await world.reconcile(after_s=TELL_AFTER_S) == EXPECTATION_CHECK_S
    ready = next(c for c in world.status["conditions"] if c["type"] == "RolesReady")
    assert ready["reason"] == "RefusedByApiServer"
    assert "Blocked" in world.events
    world.api.refused.clear()
    await world.reconcile(after_s=15)
    await world.reconcile(after_s=TELL_AFTER_S)
    ready = next(c for c in world.status["conditions"] if c["type"] == "RolesReady")
    assert ready["reason"] == "PodsNotReady"


async def test_only_a_running_coordinator_is_asked_and_with_the_jobs_token(world: Any) -> None:
    await world.reconcile()
    assert world.link.target is None
    await world.start()
    api_token = token(world.key, UID, Purpose.API)
    assert world.link.target == Target(uid=UID, ip="10.0.0.1", token=api_token)
    world.watch.kubelet[COORDINATOR] = make_ended(COORDINATOR, 19)
    await world.reconcile(after_s=60)
    assert world.link.target is None


@pytest.mark.parametrize("how", ["gone", "leaving"])
async def test_a_job_that_goes_is_forgotten_with_all_its_series(world: Any, how: str) -> None:
    await world.start()
    if how == "gone":
        del world.api.objects["ProRLJob", "q"]
    else:
        world.api.objects["ProRLJob", "q"]["metadata"]["deletionTimestamp"] = "2026-01-01T12:00:00Z"
    assert await world.reconcile(after_s=60) is None
    assert world.api.writes == []
    assert world.link.forgotten == [KEY]
    assert b'name="q"' not in world.metrics.render()


async def test_a_job_that_went_in_between_is_no_error(world: Any) -> None:
    world.watch.stale = world.api.objects.pop(("ProRLJob", "q"))
    assert await world.reconcile() is None
    assert world.api.writes == []


async def test_a_job_that_cannot_be_read_is_said_to_be_so_and_left_alone(world: Any) -> None:
    await world.start()
    pods = world.api.names("Pod")
    world.change_spec(newField=1)
    await world.reconcile(after_s=60)
    assert world.status["phase"] == "Failed"
    failed = next(c for c in world.status["conditions"] if c["type"] == "Failed")
    assert failed["reason"] == "InvalidSpec"
    assert "newField" in failed["message"]
    assert world.api.names("Pod") == pods
    world.change_spec(newField=None)
    await world.reconcile(after_s=60)
    assert world.status["phase"] == "Running"
