"""What holds for every plan: it is a fixed point, it has no order, and it loses no count."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from controller_builders import (
    COORDINATOR,
    NOW,
    TRAINER,
    ago,
    carry_out,
    make_converged,
    make_document,
    make_ended,
    make_job,
    make_observed,
    make_pod_view,
    make_status,
    settle,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from prorl_api.spec_roles import Role
from prorl_api.status import Phase, ProRLJobStatus
from prorl_api.wire import Stage
from prorl_operator.build.names import Slot
from prorl_operator.plan.actions import CreatePod
from prorl_operator.plan.disruption import Disruption
from prorl_operator.plan.observed import Observed, PodView
from prorl_operator.plan.plan import make_plan

JOB = make_job(trainer={"replicas": 2}, rollout={"replicas": 2})
HELPERS = [Slot(role=role, index=i) for role in Role for i in range(3)][3:]
"""More than the job wants."""
YOUNG = {"phase": "Pending", "ready": False, "started_at": None}

CURRENT: dict[str, Callable[[Slot, int], PodView]] = {
    "running": make_pod_view,
    "not ready": lambda slot, n: make_pod_view(slot, n, ready=False),
    "pending": lambda slot, n: make_pod_view(slot, n, **YOUNG, created_at=ago(1)),
    "misses its secret": lambda slot, n: make_pod_view(
        slot, n, **YOUNG, waiting_reason="ContainerCreating", created_at=ago(99)
    ),
    "cannot pull": lambda slot, n: make_pod_view(slot, n, **YOUNG, waiting_reason="ErrImagePull"),
    "unschedulable": lambda slot, n: make_pod_view(slot, n, **YOUNG, unschedulable="no node"),
    "failed just now": lambda slot, n: make_ended(slot, 19, incarnation=n, started_at=ago(5)),
    "failed": lambda slot, n: make_ended(slot, 19, incarnation=n),
    "data error": lambda slot, n: make_ended(slot, 11, incarnation=n),
    "stopped": lambda slot, n: make_ended(slot, 75, incarnation=n),
    "done": lambda slot, n: make_ended(slot, 0, incarnation=n),
    "disrupted": lambda slot, n: make_ended(slot, 1, incarnation=n, disruption=Disruption.EVICTION),
    "leaving": lambda slot, n: make_pod_view(slot, n, deletion_at=ago(-60)),
    "lost": lambda slot, n: make_pod_view(slot, n, deletion_at=ago(99)),
}
LEFTOVER = ["failed", "stopped", "disrupted", "lost"]


@st.composite
def pods(draw: st.DrawFn) -> tuple[PodView, ...]:
    """At most one pod per slot that may go on, and leftovers before it."""
    found = []
    others = draw(st.lists(st.sampled_from(HELPERS), unique=True))
    for slot in [*draw(st.sampled_from([[], [COORDINATOR]])), *others]:
        newest = draw(st.integers(1, 3))
        state = CURRENT[draw(st.sampled_from(sorted(CURRENT)))]
        found.append(state(slot, newest))
        for older in draw(st.sets(st.integers(1, newest))) - {newest}:
            found.append(CURRENT[draw(st.sampled_from(LEFTOVER))](slot, older))
    return tuple(found)


@st.composite
def worlds(draw: st.DrawFn) -> Observed:
    """Anything that a pass may find, with restarts left."""
    document = st.builds(make_document, st.sampled_from(Stage), attempt=st.integers(1, 3))
    stored = st.builds(
        make_status,
        phase=st.sampled_from([Phase.PENDING, Phase.STARTING, Phase.RUNNING, Phase.RECOVERING]),
        attempt=st.integers(0, 3),
        restarts_counted=st.integers(0, 3),
        start_time=st.sampled_from([None, "2026-01-01T11:00:00Z"]),
    )
    observed = make_observed(job=JOB, pods=draw(pods()), incarnations={})
    missing = draw(st.sets(st.sampled_from(sorted(observed.children))))
    return replace(
        observed,
        stored=draw(st.none() | stored),
        children={key: one for key, one in observed.children.items() if key not in missing},
        document=draw(st.none() | document),
        tokens_applied=draw(st.booleans()),
    )


@settings(deadline=None, max_examples=60)
@given(worlds())
def test_a_plan_applied_to_its_own_result_asks_for_nothing(world: Observed) -> None:
    assert make_plan(carry_out(world, make_plan(world, NOW)), NOW).actions == ()


@settings(deadline=None, max_examples=60)
@given(worlds())
def test_a_converged_job_costs_no_write(world: Observed) -> None:
    converged = settle(world, passes=3)
    plan = make_plan(converged, NOW)
    assert (plan.actions, plan.events) == ((), ())
    assert plan.status == converged.stored


@settings(deadline=None, max_examples=50)
@given(worlds(), st.randoms(use_true_random=False))
def test_the_order_of_pods_and_objects_means_nothing(world: Observed, random: Any) -> None:
    shuffled = list(world.pods), list(world.children.items())
    for part in shuffled:
        random.shuffle(part)
    other = replace(world, pods=tuple(shuffled[0]), children=dict(shuffled[1]))
    assert make_plan(other, NOW) == make_plan(world, NOW)


@settings(deadline=None, max_examples=50)
@given(worlds())
def test_a_coordinator_is_made_only_where_none_may_still_run(world: Observed) -> None:
    plan = make_plan(world, NOW)
    if COORDINATOR in [a.slot for a in plan.actions if isinstance(a, CreatePod)]:
        pods = [pod for pod in world.pods if pod.slot == COORDINATOR]
        assert all(pod.ended or pod.lost(NOW) for pod in pods)


HAPPENINGS: dict[str, PodView | Slot] = {
    "coordinator fails": make_ended(COORDINATOR, 19),
    "trainer fails": make_ended(TRAINER, 1, finished_at=ago(200)),
    "trainer is preempted": make_ended(
        Slot(role=Role.TRAINER, index=1), 1, disruption=Disruption.PREEMPTION, told_at=ago(400)
    ),
    "rollout fails": make_ended(Slot(role=Role.ROLLOUT, index=1), 1),
    "rollout is deleted": make_pod_view(
        Slot(role=Role.ROLLOUT, index=0), deletion_at=ago(-30), told_at=ago(600)
    ),
    "verifier vanishes": Slot(role=Role.VERIFIER, index=0),
}
"""So long apart that each is a fault of its own."""


def befall(observed: Observed, what: PodView | Slot) -> Observed:
    gone = what if isinstance(what, Slot) else what.slot
    others = [p for p in observed.pods if (p.slot, p.incarnation) != (gone, 1)]
    return replace(observed, pods=(*others, *([what] if isinstance(what, PodView) else [])))


def recover(observed: Observed) -> ProRLJobStatus:
    """Once every pod that is still wanted runs and the coordinator has been heard."""
    observed = settle(observed)
    kept = [p for p in observed.pods if not p.leaving]
    running = [make_pod_view(p.slot, p.incarnation, ledger=p.ledger) for p in kept]
    attempt = max(p.incarnation for p in kept if p.slot.role is Role.COORDINATOR)
    document = make_document(attempt=attempt)
    stored = settle(replace(observed, pods=tuple(running), document=document)).stored
    assert stored is not None
    return stored


@settings(deadline=None, max_examples=30)
@given(st.permutations(sorted(HAPPENINGS)), st.lists(st.booleans(), min_size=6, max_size=6))
def test_any_order_of_child_events_converges(order: list[str], passes: list[bool]) -> None:
    observed = make_converged(job=JOB)
    for name, seen in zip(order, passes, strict=True):
        observed = befall(observed, HAPPENINGS[name])
        if seen:
            observed = carry_out(observed, make_plan(observed, NOW))
    status = recover(observed)
    assert (status.phase, status.attempt) == (Phase.RUNNING, 2)
    assert (status.restarts, status.restarts_counted, status.disruptions) == (2, 2, 3)
    failed = {role: getattr(status.roles, role.value).failed for role in Role}
    assert failed == {"coordinator": 1, "trainer": 1, "rollout": 1, "verifier": 0}
    assert all(c.status == "True" for c in status.conditions if c.type == "RolesReady")


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 9), max_size=6))
def test_counting_survives_an_operator_that_dies_between_two_writes(cuts: list[int]) -> None:
    observed = make_converged(job=JOB)
    for what in HAPPENINGS.values():
        observed = befall(observed, what)
    observed = replace(observed, incarnations={})
    for cut in cuts:
        plan = make_plan(observed, NOW)
        half = carry_out(observed, replace(plan, actions=plan.actions[:cut]))
        observed = replace(half, stored=observed.stored, tokens_applied=False, incarnations={})
    status = recover(observed)
    assert (status.restarts, status.restarts_counted) == (2, 2)
    assert status.disruptions in (2, 3)  # a verifier that this process never saw is not missed


def test_pods_that_miss_their_secret_are_named_in_a_fixed_order() -> None:
    stuck = [CURRENT["misses its secret"](slot, 1) for slot in HELPERS[:2]]
    plans = [make_plan(make_observed(*some, job=JOB), NOW) for some in (stuck, stuck[::-1])]
    assert plans[0] == plans[1]


@pytest.mark.parametrize("seconds", [1, 60, 3600, 7199])
def test_time_alone_changes_nothing_in_a_converged_job(seconds: int) -> None:
    converged = make_converged(job=JOB)
    later = make_plan(converged, NOW + timedelta(seconds=seconds))
    assert (later.actions, later.events) == ((), ())
    assert later.requeue_after_s == 7200 - seconds  # when it would be stalled
    assert later.status == converged.stored
