"""One pass over one job: what it writes, in which order, and when it looks again."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from controller_builders import (
    COORDINATOR,
    NOW,
    ROLLOUT,
    UID,
    make_document,
    make_ended,
    make_pod_view,
)
from prorl_api.status import Progress
from prorl_api.wire import StatusDocument
from prorl_operator.build.names import Slot
from prorl_operator.build.secrets import Purpose, token
from prorl_operator.errors import ApiError
from prorl_operator.kube.apply import Applier
from prorl_operator.kube.events import Recorder
from prorl_operator.kube.observe import parse_pod
from prorl_operator.link.coordinator import Target
from prorl_operator.memory import Memories
from prorl_operator.metrics import Metrics
from prorl_operator.plan.observed import Key, PodView
from prorl_operator.reconcile import EXPECTATION_CHECK_S, Reconciler
from prorl_operator.settings import Settings

KEY = ("team", "q")
OPERATOR_KEY = b"k" * 32


@dataclass(kw_only=True)
class Watch:
    """Shows at once what the API server has, and pods as the kubelet has changed them."""

    api: Any
    kubelet: dict[Slot, PodView] = field(default_factory=dict)
    stale: dict[str, Any] | None = None
    """A job that the API server no longer has."""

    def job(self, key: Key) -> dict[str, Any] | None:
        return self.stale or self.api.objects.get(("ProRLJob", key[1]))

    def all_keys(self) -> list[Key]:
        return [KEY]

    def pods(self, key: Key) -> Iterator[PodView]:
        for name in self.api.names("Pod"):
            view = parse_pod(self.api.objects["Pod", name])
            assert view is not None
            changed = self.kubelet.get(view.slot)
            yield changed if changed and changed.name == view.name else view

    def children(self, key: Key) -> list[dict[str, Any]]:
        kinds = ("Service", "ConfigMap", "PersistentVolumeClaim")
        return [one for (kind, _), one in self.api.objects.items() if kind in kinds]


@dataclass(kw_only=True)
class Link:
    """What the coordinator says, and whom the operator asks."""

    said: StatusDocument | None = None
    target: Target | None = None
    forgotten: list[Key] = field(default_factory=list)

    def document(self, key: Key) -> StatusDocument | None:
        return self.said

    def follow(self, key: Key, target: Target | None) -> None:
        self.target = target

    def forget(self, key: Key) -> None:
        self.forgotten.append(key)


class World:
    """An operator at its first pass over the job q."""

    def __init__(self, api: Any) -> None:
        self.api, self.now = api, NOW
        self.watch, self.link, self.metrics = Watch(api=api), Link(), Metrics()
        self.restart()

    def restart(self) -> None:
        """A new process: it remembers nothing."""
        self.reconciler = Reconciler(
            settings=Settings(key=OPERATOR_KEY),
            watched=self.watch,
            applier=Applier(self.api, OPERATOR_KEY, self.clock),
            recorder=Recorder(self.api, "tests", self.clock),
            link=self.link,  # type: ignore[arg-type]
            metrics=self.metrics,
            clock=self.clock,
            memories=Memories(),
        )

    def clock(self) -> datetime:
        return self.now

    async def reconcile(self, *, after_s: float = 0.0) -> float | None:
        self.now += timedelta(seconds=after_s)
        self.api.writes.clear()
        return await self.reconciler.reconcile(KEY)

    async def start(self) -> None:
        """Everything runs and trains, and nothing is left to do."""
        await self.reconcile()
        for slot in (COORDINATOR, *(Slot(role=r, index=0) for r in ("trainer", "verifier"))):
            self.watch.kubelet[slot] = make_pod_view(slot)
        self.watch.kubelet[ROLLOUT] = make_pod_view(ROLLOUT)
        self.link.said = make_document()
        await self.reconcile(after_s=60)

    def trains(self, step: int) -> None:
        self.link.said = make_document(progress=Progress(step=step, total_steps=2000))

    @property
    def status(self) -> dict[str, Any]:
        return dict(self.api.objects["ProRLJob", "q"]["status"])

    @property
    def events(self) -> list[str]:
        return [b["reason"] for (kind, _), b in self.api.objects.items() if kind == "Event"]


@pytest.fixture
def world(api: Any) -> World:
    return World(api)


async def test_a_first_pass_makes_everything_and_then_writes_the_status(world: World) -> None:
    assert await world.reconcile() == EXPECTATION_CHECK_S
    assert len(world.api.names("Pod")) == 4
    assert world.api.writes[-1] == "apply/status ProRLJob q"
    assert world.status["phase"] == "Pending"


async def test_a_converged_job_costs_no_write_even_after_a_restart(world: World) -> None:
    await world.start()
    await world.reconcile(after_s=60)
    assert world.api.writes == []
    world.restart()
    await world.reconcile(after_s=60)
    assert world.api.writes == ["apply Secret q-tokens"]


async def test_the_status_is_written_before_the_events_that_tell_of_it(world: World) -> None:
    await world.start()
    world.watch.kubelet[COORDINATOR] = make_ended(COORDINATOR, 0)
    await world.reconcile(after_s=60)
    kinds = [write.split()[:2] for write in world.api.writes]
    assert kinds[-2:] == [["apply/status", "ProRLJob"], ["create", "Event"]]
    assert "Succeeded" in world.events


async def test_no_event_tells_of_a_status_that_could_not_be_written(world: World) -> None:
    await world.start()
    told = world.events
    world.watch.kubelet[COORDINATOR] = make_ended(COORDINATOR, 0)
    world.api.refuse("q", status=503)
    with pytest.raises(ApiError):
        await world.reconcile(after_s=60)
    assert world.events == told


async def test_progress_alone_waits_for_the_end_of_the_pause(world: World) -> None:
    await world.start()
    world.trains(8)
    await world.reconcile(after_s=60)
    assert world.status["progress"]["step"] == 8
    world.trains(9)
    assert await world.reconcile(after_s=0.5) == 1.5
    assert world.api.writes == []
    await world.reconcile(after_s=1.5)
    assert world.status["progress"]["step"] == 9


async def test_a_replacement_is_told_even_while_progress_waits(world: World) -> None:
    await world.start()
    at = world.now
    world.watch.kubelet[ROLLOUT] = make_ended(ROLLOUT, 0, started_at=at, finished_at=at)
    await world.reconcile()
    world.trains(8)
    await world.reconcile(after_s=9.5)
    world.trains(9)
    await world.reconcile(after_s=0.5)
    assert "q-rollout-0-2" in world.api.names("Pod")
    assert "PodReplaced" in world.events


async def test_a_refusal_is_told_and_looked_at_again(world: World) -> None:
    world.api.refuse("q-trainer-0-1")
    assert await world.reconcile() == EXPECTATION_CHECK_S
    ready = next(c for c in world.status["conditions"] if c["type"] == "RolesReady")
    assert ready["reason"] == "RefusedByApiServer"
    assert "Blocked" in world.events
    world.api.refused.clear()
    await world.reconcile(after_s=15)
    ready = next(c for c in world.status["conditions"] if c["type"] == "RolesReady")
    assert ready["reason"] == "PodsNotReady"


async def test_only_a_running_coordinator_is_asked_and_with_the_jobs_token(world: World) -> None:
    await world.reconcile()
    assert world.link.target is None
    await world.start()
    api_token = token(OPERATOR_KEY, UID, Purpose.API)
    assert world.link.target == Target(uid=UID, ip="10.0.0.1", token=api_token)
    world.watch.kubelet[COORDINATOR] = make_ended(COORDINATOR, 19)
    await world.reconcile(after_s=60)
    assert world.link.target is None


@pytest.mark.parametrize("how", ["gone", "leaving"])
async def test_a_job_that_goes_is_forgotten_with_all_its_series(world: World, how: str) -> None:
    await world.start()
    if how == "gone":
        del world.api.objects["ProRLJob", "q"]
    else:
        world.api.objects["ProRLJob", "q"]["metadata"]["deletionTimestamp"] = "2026-01-01T12:00:00Z"
    assert await world.reconcile(after_s=60) is None
    assert world.api.writes == []
    assert world.link.forgotten == [KEY]
    assert b'name="q"' not in world.metrics.render()


async def test_a_job_that_went_in_between_is_no_error(world: World) -> None:
    world.watch.stale = world.api.objects.pop(("ProRLJob", "q"))
    assert await world.reconcile() is None
    assert world.api.writes == []


async def test_a_job_that_cannot_be_read_is_said_to_be_so_and_left_alone(world: World) -> None:
    await world.start()
    pods = world.api.names("Pod")
    world.api.objects["ProRLJob", "q"]["spec"]["newField"] = 1
    await world.reconcile(after_s=60)
    assert world.status["phase"] == "Failed"
    failed = next(c for c in world.status["conditions"] if c["type"] == "Failed")
    assert failed["reason"] == "InvalidSpec"
    assert "newField" in failed["message"]
    assert world.api.names("Pod") == pods
    del world.api.objects["ProRLJob", "q"]["spec"]["newField"]
    await world.reconcile(after_s=60)
    assert world.status["phase"] == "Running"
