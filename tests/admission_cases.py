"""Manifests and their verdicts: one table for prorl validate and for the API server."""

from dataclasses import dataclass
from typing import Any

from admission import algorithm, data, lifecycle, roles
from manifests import manifest

_TOPICS = (lifecycle, data, algorithm, roles)


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """`refused_at` is a field path that must be named; None: accepted."""

    id: str
    manifest: dict[str, Any]
    refused_at: str | None = None


def _with_metadata(**fields: Any) -> dict[str, Any]:
    return manifest() | {"metadata": {"name": "case"} | fields}


CASES: tuple[Case, ...] = (
    *(
        Case(id=key, manifest=manifest(**spec))
        for topic in _TOPICS
        for key, spec in topic.ACCEPTED.items()
    ),
    *(
        Case(id=key, manifest=manifest(**spec), refused_at=path)
        for topic in _TOPICS
        for key, (path, spec) in topic.REFUSED.items()
    ),
    Case(id="name-of-40", manifest=manifest("a" * 40)),
    Case(id="name-of-41", manifest=manifest("a" * 41), refused_at="metadata.name"),
    Case(id="name-with-a-digit-first", manifest=manifest("7b"), refused_at="metadata.name"),
    Case(id="name-with-a-dot", manifest=manifest("a.b"), refused_at="metadata.name"),
    Case(
        id="labels-and-annotations",
        manifest=_with_metadata(labels={"a": "b"}, annotations={"a": "b"}),
    ),
    Case(
        id="unknown-metadata",
        manifest=_with_metadata(lables={"a": "b"}),
        refused_at="metadata.lables",
    ),
    Case(
        id="number-for-a-label",
        manifest=_with_metadata(labels={"a": 1}),
        refused_at="metadata.labels",
    ),
    Case(
        id="no-spec",
        manifest={k: v for k, v in manifest().items() if k != "spec"},
        refused_at="spec",
    ),
)
