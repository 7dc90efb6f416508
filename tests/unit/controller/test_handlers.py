"""What kopf is given: handlers that only add keys, and no work that nobody asks for."""

import asyncio
import inspect
from typing import Any

import kopf
import pytest
from controller_builders import UID
from prorl_operator.handlers import CHILDREN, JOBS, PODS, KopfIndices, make_registry
from prorl_operator.kube.urgency import GATHER_S
from prorl_operator.plan.observed import Key

OWNER = {"kind": "ProRLJob", "name": "q", "uid": UID, "controller": True}

NEW_JOB = {"kind": "ProRLJob", "metadata": {"namespace": "team", "name": "q", "generation": 1}}


class Kopf:
    """Calls the handlers of a registry as kopf does."""

    def __init__(self) -> None:
        self.added: list[tuple[Key, float]] = []
        self.registry = make_registry(lambda *added: self.added.append(added), KopfIndices())

    @property
    def handlers(self) -> list[Any]:
        parts = (self.registry._watching, self.registry._indexing, self.registry._activities)
        return [handler for part in parts for handler in part.get_all_handlers()]

    def event(self, plural: str, kind: str, body: dict[str, Any]) -> None:
        for handler in self.registry._watching.get_all_handlers():
            if handler.selector.plural == plural or handler.selector.any_name == plural:
                asyncio.run(handler.fn(event={"type": kind}, body=kopf.Body(body)))


def child(kind: str, **meta: Any) -> dict[str, Any]:
    names = {"namespace": "team", "name": "q-x", "ownerReferences": [OWNER]}
    return {"kind": kind, "metadata": names | meta}


def test_no_handler_is_run_in_a_thread() -> None:
    handlers = Kopf().handlers
    assert len(handlers) == 2 * len((JOBS, PODS, *CHILDREN.values())) + 2
    assert [one.id for one in handlers if not inspect.iscoroutinefunction(one.fn)] == []


@pytest.mark.parametrize(
    ("plural", "body", "pause_s"),
    [
        ("prorljobs", NEW_JOB, 0),
        ("pods", child("Pod"), GATHER_S),
        ("pods", child("Pod", deletionTimestamp="2026-01-01T12:00:00Z"), 0),
        ("configmaps", child("ConfigMap"), GATHER_S),
    ],
)
def test_an_event_adds_the_key_of_its_job_and_says_whether_it_may_wait(
    plural: str, body: dict[str, Any], pause_s: float
) -> None:
    one = Kopf()
    one.event(plural, "MODIFIED", body)
    assert one.added == [(("team", "q"), pause_s)]


def configured() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    activities = Kopf().registry._activities.get_all_handlers()
    (start,) = [one.fn for one in activities if one.activity.value == "startup"]
    names = ("jobs", "pods", *(resource[2] for resource in CHILDREN.values()))
    asyncio.run(start(settings=settings, **{name: {} for name in names}))
    return settings


def test_kopf_copies_no_object_to_look_for_changes() -> None:
    body = kopf.Body({"spec": {"large": "x"}, "metadata": {}})
    assert configured().persistence.diffbase_storage.build(body=body) == {}


def test_of_all_but_jobs_only_what_has_our_label_is_watched() -> None:
    def asked(group: str, version: str, plural: str) -> list[str]:
        resource = kopf.Resource(group=group, version=version, plural=plural)
        return list(configured().watching.label_selectors.collect(resource))

    assert asked(*JOBS) == []
    for resource in (PODS, *CHILDREN.values()):
        assert asked(*resource) == ["app.kubernetes.io/managed-by=prorl-operator"]
