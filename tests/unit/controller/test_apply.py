"""Plans on an API server that refuses, conflicts and forgets."""

from dataclasses import replace
from typing import Any

import pytest
from controller_builders import (
    COORDINATOR,
    NOW,
    ROLLOUT,
    TRAINER,
    make_ended,
    make_job,
    make_observed,
    make_pod_view,
)
from plan_readers import tally_of
from prorl_api.spec_roles import Role
from prorl_operator.build.ledger import Ledger
from prorl_operator.errors import ApiError, JobGone
from prorl_operator.kube.apply import Applier
from prorl_operator.memory import JobMemory
from prorl_operator.plan.actions import ApplyTokens, DeletePod
from prorl_operator.plan.disruption import Disruption
from prorl_operator.plan.observed import Observed, PodView, Problem
from prorl_operator.plan.plan import make_plan

KEY = b"k" * 32


async def carry_out(api: Any, observed: Observed, memory: JobMemory) -> tuple[Problem, ...]:
    """One plan; its pods are known to the API server beforehand."""
    for pod in observed.pods:
        api.put("Pod", pod.name, metadata={"uid": pod.uid})
    api.writes.clear()
    applier = Applier(api, KEY, lambda: NOW)
    return await applier.run(make_plan(observed, NOW).actions, observed.job, memory)


def fresh() -> JobMemory:
    return JobMemory(uid="job-uid")


def tallies(api: Any, *names: str) -> list[Ledger]:
    return [tally_of(api.objects["Pod", name]) for name in names]


async def test_a_new_job_is_made_whole(api: Any) -> None:
    memory = fresh()
    assert await carry_out(api, Observed(job=make_job()), memory) == ()
    assert api.names("Pod") == [
        "q-coordinator-0-1", "q-rollout-0-1", "q-trainer-0-1", "q-verifier-0-1",
    ]  # fmt: skip
    assert memory.tokens_applied
    assert set(memory.created) == set(api.names("Pod"))
    assert memory.incarnations[TRAINER] == 1


async def test_nothing_is_made_for_a_job_that_is_gone(api: Any) -> None:
    del api.objects["ProRLJob", "q"]
    with pytest.raises(JobGone, match="job-uid does not exist"):
        await carry_out(api, Observed(job=make_job()), fresh())
    assert api.writes == []


@pytest.mark.parametrize(
    "meta",
    [{"uid": "another"}, {"uid": "job-uid", "deletionTimestamp": "2026-01-01T12:00:00Z"}],
    ids=["another job", "being deleted"],
)
async def test_nothing_is_made_for_a_job_that_is_another_or_leaves(
    api: Any, meta: dict[str, str]
) -> None:
    api.put("ProRLJob", "q", metadata=meta)
    with pytest.raises(JobGone):
        await carry_out(api, Observed(job=make_job()), fresh())
    assert api.writes == []


async def test_pods_of_a_job_that_is_gone_may_still_be_deleted(api: Any) -> None:
    del api.objects["ProRLJob", "q"]
    surplus = make_pod_view(TRAINER, 1), make_pod_view(TRAINER, 2)
    await carry_out(api, make_observed(*surplus), fresh())
    assert api.writes == ["delete Pod q-trainer-0-1"]


async def test_a_refusal_is_told_and_holds_nothing_else_up(api: Any) -> None:
    api.refuse("q-trainer-0-1")
    (problem,) = await carry_out(api, Observed(job=make_job()), fresh())
    assert problem.reason == "RefusedByApiServer"
    assert problem.message == "Pod q-trainer-0-1 cannot be created: exceeded quota"
    assert "q-verifier-0-1" in api.names("Pod")


@pytest.mark.parametrize("status", [0, 409, 429, 500, 503])
async def test_what_may_work_the_next_time_is_raised(api: Any, status: int) -> None:
    api.refuse("q-config", status=status)
    with pytest.raises(ApiError):
        await carry_out(api, Observed(job=make_job()), fresh())


@pytest.mark.parametrize(
    ("kind", "name"),
    [("ConfigMap", "q-config"), ("Secret", "q-tokens"), ("Service", "q"), ("Pod", "q-trainer-0-1")],
)
async def test_what_belongs_to_others_is_left_untouched(api: Any, kind: str, name: str) -> None:
    api.put(kind, name, data={"mine": "yes"})
    (problem,) = await carry_out(api, Observed(job=make_job()), fresh())
    assert problem.reason == "NameConflict"
    assert f"{kind} {name} exists" in problem.message
    assert api.objects[kind, name]["data"] == {"mine": "yes"}


async def test_a_claim_of_an_earlier_job_of_this_name_is_taken_over(api: Any) -> None:
    labels = {"app.kubernetes.io/managed-by": "prorl-operator", "prorl.dev/job": "q"}
    api.put("PersistentVolumeClaim", "q-checkpoints", metadata={"labels": labels})
    assert await carry_out(api, Observed(job=make_job()), fresh()) == ()


async def test_a_foreign_claim_is_not(api: Any) -> None:
    api.put("PersistentVolumeClaim", "q-checkpoints")
    (problem,) = await carry_out(api, Observed(job=make_job()), fresh())
    assert problem.reason == "NameConflict"


async def test_a_pod_whose_creation_was_answered_too_late_is_ours(api: Any) -> None:
    memory = fresh()
    await carry_out(api, Observed(job=make_job()), memory)
    assert await carry_out(api, Observed(job=make_job()), again := fresh()) == ()
    assert set(again.created) == set(memory.created)


async def test_a_failed_pod_stays_while_its_replacement_is_refused(api: Any) -> None:
    api.refuse("q-trainer-0-2")
    await carry_out(api, make_observed(make_ended(TRAINER, 19)), fresh())
    assert "q-trainer-0-1" in api.names("Pod")
    api.refused.clear()
    await carry_out(api, make_observed(make_ended(TRAINER, 19)), fresh())
    assert "q-trainer-0-1" not in api.names("Pod")
    assert tallies(api, "q-trainer-0-2") == [
        Ledger(restarts=1, counted=1, failed={Role.TRAINER: 1})
    ]


@pytest.mark.parametrize(
    ("pods", "refused", "made"),
    [
        ([make_ended(COORDINATOR, 19), make_ended(TRAINER, 19)], "q-coordinator-0-2",
         {"q-trainer-0-2": Ledger(failed={Role.TRAINER: 1})}),
        ([make_ended(TRAINER, 19), make_ended(ROLLOUT, 1)], "q-trainer-0-2",
         {"q-rollout-0-2": Ledger(failed={Role.ROLLOUT: 1})}),
        ([make_ended(TRAINER, 1, disruption=Disruption.TAINT), make_ended(ROLLOUT, 1)],
         "q-trainer-0-2",
         {"q-rollout-0-2": Ledger(failed={Role.ROLLOUT: 1})}),
        ([make_ended(TRAINER, 19), make_ended(ROLLOUT, 1)], "q-rollout-0-2",
         {"q-trainer-0-2": Ledger(restarts=1, counted=1, failed={Role.TRAINER: 1})}),
    ],
    ids=["coordinator", "failed trainer", "disrupted trainer", "rollout"],
)  # fmt: skip
async def test_a_refused_replacement_is_counted_by_nobody(
    api: Any, pods: list[PodView], refused: str, made: dict[str, Ledger]
) -> None:
    api.refuse(refused)
    await carry_out(api, make_observed(*pods), fresh())
    assert tallies(api, *made) == list(made.values())


async def test_nobody_deletes_a_pod_of_the_same_name(api: Any) -> None:
    observed = make_observed()
    applier = Applier(api, KEY, lambda: NOW)
    api.put("Pod", "q-trainer-0-1", metadata={"uid": "younger"})
    memory = fresh()
    await applier.run((DeletePod(name="q-trainer-0-1", uid="older"),), observed.job, memory)
    assert "q-trainer-0-1" in api.names("Pod")


async def test_tokens_that_were_applied_again_are_remembered_per_pod(api: Any) -> None:
    memory = fresh()
    applier = Applier(api, KEY, lambda: NOW)
    await applier.run((ApplyTokens(for_pods=("q-trainer-0-1",)),), make_job(), memory)
    assert memory.tokens_reissued_for == {"q-trainer-0-1"}
    assert api.writes == ["apply Secret q-tokens"]


GOING = make_pod_view(ROLLOUT, deletion_at=NOW)


@pytest.mark.parametrize(
    "pod",
    [GOING, make_ended(ROLLOUT, 1), make_ended(COORDINATOR, 19)],
    ids=["deleted", "failed", "failed coordinator"],
)
async def test_a_pod_that_may_have_gone_with_its_job_is_replaced_only_after_a_look(
    api: Any, pod: PodView
) -> None:
    del api.objects["ProRLJob", "q"]
    with pytest.raises(JobGone):
        await carry_out(api, make_observed(pod), fresh())
    assert api.writes == []


@pytest.mark.parametrize(
    "pod",
    [replace(GOING, disruption=Disruption.EVICTION),
     make_ended(ROLLOUT, 143, disruption=Disruption.PREEMPTION)],
    ids=["evicted", "preempted"],
)  # fmt: skip
async def test_a_pod_that_bears_a_mark_is_replaced_without_one(api: Any, pod: PodView) -> None:
    del api.objects["ProRLJob", "q"]
    await carry_out(api, make_observed(pod), fresh())
    assert api.writes[0] == "create Pod q-rollout-0-2"


async def test_one_pod_without_a_mark_is_enough_to_look(api: Any) -> None:
    del api.objects["ProRLJob", "q"]
    pods = make_ended(TRAINER, 1, disruption=Disruption.EVICTION), GOING
    with pytest.raises(JobGone):
        await carry_out(api, make_observed(*pods), fresh())
    assert api.writes == []
