"""Events on the API server: one happening is written once, and none holds anything up."""

from typing import Any

from controller_builders import NOW, UID
from prorl_operator.kube.events import NOTE_LIMIT, Recorder
from prorl_operator.plan.actions import PlannedEvent

KEY = ("team", "q")


def event(**values: Any) -> PlannedEvent:
    defaults: dict[str, Any] = {"reason": "Failed", "note": "Row 3.", "identity": "1"}
    return PlannedEvent(**(defaults | values))


async def written(api: Any, *events: PlannedEvent, uid: str = UID) -> list[dict[str, Any]]:
    await Recorder(api, "me", lambda: NOW).record(KEY, uid, events)
    return [body for (kind, _), body in api.objects.items() if kind == "Event"]


async def test_an_event_says_what_happened_to_which_job(api: Any) -> None:
    (body,) = await written(api, event(warning=True))
    assert (body["reason"], body["note"], body["type"]) == ("Failed", "Row 3.", "Warning")
    assert body["eventTime"] == "2026-01-01T12:00:00.000000Z"
    assert body["metadata"]["namespace"] == "team"
    assert body["regarding"] == {
        "apiVersion": "prorl.dev/v1alpha1", "kind": "ProRLJob", "namespace": "team", "name": "q",
        "uid": UID,
    }  # fmt: skip


async def test_one_happening_is_written_once(api: Any) -> None:
    assert len(await written(api, event(), event(note="In other words."))) == 1
    others = [event(identity="2"), event(reason="Running")]
    assert len(await written(api, event(), *others)) == 3
    assert len(await written(api, event(), uid="another job")) == 4


async def test_a_long_note_is_cut(api: Any) -> None:
    (body,) = await written(api, event(note="x" * 5000))
    assert body["note"] == "x" * NOTE_LIMIT


async def test_an_event_that_is_refused_holds_no_other_up(api: Any) -> None:
    (first,) = await written(api, event())
    api.objects.clear()
    api.refuse(first["metadata"]["name"], status=500)
    (other,) = await written(api, event(), event(reason="Running"))
    assert (other["reason"], other["type"]) == ("Running", "Normal")
