"""What a status says and what a plan makes, as tests ask for it."""

from collections.abc import Iterable
from typing import Any

from controller_builders import counts
from prorl_api.status import Condition, ProRLJobStatus
from prorl_operator.build.ledger import ANNOTATION, Ledger, parse_ledger
from prorl_operator.plan.actions import Action, CreatePod


def condition_of(status: ProRLJobStatus | None, kind: str) -> Condition | None:
    """There must be a status."""
    assert status is not None
    return next((c for c in status.conditions if c.type == kind), None)


def failure_of(status: ProRLJobStatus) -> Condition:
    """Why the job has failed, which it has."""
    found = condition_of(status, "Failed")
    assert found is not None
    assert found.status == "True"
    return found


def tally_of(manifest: dict[str, Any]) -> Ledger:
    """That a pod carries, without its moments."""
    return counts(parse_ledger(manifest["metadata"]["annotations"][ANNOTATION]))


def tallies_of(actions: Iterable[Action]) -> dict[str, Ledger]:
    """Names of the pods that are made, with the tally that each carries."""
    return {a.name: tally_of(a.manifest) for a in actions if isinstance(a, CreatePod)}
