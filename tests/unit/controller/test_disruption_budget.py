"""Who answers the eviction API for a job's pods, and what."""

from typing import Any

import pytest
from controller_builders import NOW, make_job
from prorl_operator.build.disruption_budget import KIND
from prorl_operator.plan.actions import ApplyObject
from prorl_operator.plan.observed import Observed
from prorl_operator.plan.plan import desired_objects, make_plan

REFUSED = {"evictions": "Refused"}


def budgets(observed: Observed) -> list[dict[str, Any]]:
    return [one for one in desired_objects(observed) if one["kind"] == KIND]


def observe(*, known: bool = False, **spec: Any) -> Observed:
    made = budgets(Observed(job=make_job(runPolicy=REFUSED)))
    children = {(KIND, one["metadata"]["name"]): one for one in made}
    return Observed(job=make_job(**spec), children=children if known else {})


def test_a_job_that_may_be_evicted_has_none() -> None:
    assert budgets(observe()) == []


def test_refused_evictions_are_those_of_coordinator_and_trainers() -> None:
    (budget,) = budgets(observe(runPolicy=REFUSED, trainer={"replicas": 3}))
    assert budget["spec"]["minAvailable"] == 4
    assert "maxUnavailable" not in budget["spec"], "it would go by the scale of the rollout"
    (among,) = budget["spec"]["selector"]["matchExpressions"]
    assert among["values"] == ["coordinator", "trainer"]
    assert budget["spec"]["selector"]["matchLabels"]["prorl.dev/job"] == "q"


@pytest.mark.parametrize("spec", [{}, {"runPolicy": REFUSED, "suspend": True}])
def test_one_that_is_there_gives_way_when_evictions_are_allowed_or_the_job_is_suspended(
    spec: dict[str, Any],
) -> None:
    (budget,) = budgets(observe(known=True, **spec))
    assert budget["spec"]["minAvailable"] == 0


def test_it_is_applied_once() -> None:
    def applied(observed: Observed) -> list[str]:
        actions = make_plan(observed, NOW).actions
        return [a.manifest["kind"] for a in actions if isinstance(a, ApplyObject)]

    assert KIND in applied(observe(runPolicy=REFUSED))
    assert KIND not in applied(observe(known=True, runPolicy=REFUSED))
