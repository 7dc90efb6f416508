"""Objects that were found as they should be are looked at again when they or the spec change."""

from typing import Any

import pytest
from controller_builders import ROLLOUT, UID, make_ended, make_job, make_observed
from prorl_operator.kube.observe import read_job
from prorl_operator.memory import JobMemory
from prorl_operator.plan.actions import ApplyObject, CreatePod
from prorl_operator.plan.disruption import Disruption
from prorl_operator.plan.plan import make_plan


def body(generation: int, **spec: Any) -> dict[str, Any]:
    job = make_job(generation=generation, **spec).model_dump(mode="json", by_alias=True)
    return job | {"status": {"phase": "Running"}}


def test_a_spec_is_parsed_once_and_a_changed_one_anew() -> None:
    memory = JobMemory(uid=UID)
    first = read_job(body(1), memory)
    assert read_job(body(1), memory) is first
    second = read_job(body(2, rollout={"replicas": 3}), memory)
    assert (second.metadata.generation, second.spec.rollout.replicas) == (2, 3)


@pytest.mark.parametrize("settled", [False, True])
def test_what_is_settled_is_not_built_again_but_pods_are_kept(world: Any, settled: bool) -> None:
    lost = make_ended(ROLLOUT, 143, disruption=Disruption.EVICTION)
    observed = make_observed(lost, settled=settled, children={})
    kinds = {type(action) for action in make_plan(observed, world.now).actions}
    assert (ApplyObject in kinds) is not settled
    assert CreatePod in kinds


@pytest.fixture
async def settled(world: Any) -> Any:
    await world.start()
    await world.reconcile(after_s=60)
    assert world.api.writes == []
    return world


async def test_an_object_that_was_lost_or_changed_afterwards_is_repaired(settled: Any) -> None:
    del settled.api.objects["Service", "q"]
    await settled.reconcile(after_s=60)
    assert "apply Service q" in settled.api.writes
    config = settled.api.objects["ConfigMap", "q-config"]
    settled.api.put("ConfigMap", "q-config", metadata=config["metadata"], data={"job.json": "{}"})
    await settled.reconcile(after_s=60)
    assert "apply ConfigMap q-config" in settled.api.writes


async def test_a_changed_spec_reaches_the_objects(settled: Any) -> None:
    settled.change_spec(runPolicy={"maxRestarts": 7})
    await settled.reconcile(after_s=60)
    assert "apply ConfigMap q-config" in settled.api.writes


async def test_a_spec_that_changed_during_a_suspension_reaches_them_at_the_resume(
    settled: Any,
) -> None:
    settled.change_spec(suspend=True)
    await settled.reconcile(after_s=60)
    assert settled.status["phase"] == "Suspending"
    settled.change_spec(suspend=None, runPolicy={"maxRestarts": 7})
    await settled.reconcile(after_s=1)
    assert settled.status["phase"] == "Suspending", "it is finished first"
    for _ in range(8):
        await settled.reconcile(after_s=600)
    assert '"maxRestarts":7' in settled.api.objects["ConfigMap", "q-config"]["data"]["job.json"]
