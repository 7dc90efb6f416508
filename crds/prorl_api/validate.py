"""The verdict of admission, offline: every problem with its field, and never an exception."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails

from prorl_api.base import API_VERSION, KIND
from prorl_api.job import ProRLJob, parse_job_strictly
from prorl_api.rules import broken_rules
from prorl_api.yaml_text import NotJsonError, as_json, load_all

MAX_VALUE_CHARACTERS = 60
TEXT_MAPS = ("labels", "annotations")
METADATA = (
    *TEXT_MAPS, "name", "generateName", "namespace", "uid", "generation", "resourceVersion",
    "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "ownerReferences",
    "finalizers", "managedFields", "selfLink",
)  # fmt: skip
"""Keys of ObjectMeta; admission refuses others."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One reason to refuse a manifest."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


def validate_text(text: str) -> list[Problem]:
    """Problems of a YAML text that should hold one ProRLJob."""
    documents = read_documents(text)
    if isinstance(documents, Problem):
        return [documents]
    if len(documents) != 1:
        return [Problem(path="file", message=f"has {len(documents)} documents, must have 1")]
    return validate_manifest(documents[0])


def read_documents(text: str) -> list[Any] | Problem:
    """The documents of a YAML text that are not empty, or why it is no YAML."""
    try:
        return [d for d in load_all(text) if d is not None]
    except yaml.YAMLError as error:
        return Problem(path="file", message=f"not YAML: {' '.join(str(error).split())}")
    except RecursionError:
        return Problem(path="file", message="nested too deeply")
    except ValueError as error:  # a date such as 2026-02-31, an integer of 5000 digits
        return Problem(path="file", message=f"not YAML: {error}")


def validate_manifest(manifest: Any) -> list[Problem]:
    """Problems in the order of the schema; none means that admission would accept it."""
    job = read_manifest(manifest)
    if not isinstance(job, ProRLJob):
        return job
    return [Problem(path=path, message=message) for path, message in broken_rules(job.spec)]


def read_manifest(manifest: Any) -> ProRLJob | list[Problem]:
    """The parsed job, before the rules over several fields, or why it does not parse."""
    if not isinstance(manifest, dict):
        return [Problem(path="file", message="must be a mapping with apiVersion, kind, spec")]
    for key, value in {"apiVersion": API_VERSION, "kind": KIND}.items():
        if manifest.get(key) != value:
            return [Problem(path=key, message=f"{_quote(manifest.get(key))}, must be {value}")]
    if not isinstance(manifest.get("metadata"), dict):
        return [Problem(path="metadata", message="must be a mapping with a name")]
    try:
        text = as_json({k: v for k, v in manifest.items() if k != "status"})
    except NotJsonError as error:
        return [Problem(path=error.path or "file", message=str(error))]
    problems = _metadata_problems(manifest["metadata"])
    try:
        job = parse_job_strictly(text)
    except ValidationError as error:
        return problems + [_problem(detail) for detail in error.errors(include_url=False)]
    return problems or job


def _metadata_problems(metadata: dict[Any, Any]) -> list[Problem]:
    """What the job's own types leave out: keys that are not ours, but the API server's."""
    found = [
        Problem(path=f"metadata.{key}", message=f"unknown field{_similar(str(key), METADATA)}")
        for key in metadata
        if key not in METADATA
    ]
    for name in TEXT_MAPS:
        texts = metadata.get(name) or {}
        if not isinstance(texts, dict):
            found.append(
                Problem(path=f"metadata.{name}", message=f"{_quote(texts)}: must be a mapping")
            )
            continue
        found += [
            Problem(path=f"metadata.{name}.{key}", message=f"{_quote(text)}: must be a text")
            for key, text in texts.items()
            if not isinstance(text, str | None)
        ]
    return found


def _problem(detail: ErrorDetails) -> Problem:
    path = _path(detail["loc"])
    if detail["type"] == "extra_forbidden":
        return Problem(path=path, message=f"unknown field{_suggestion(detail['loc'])}")
    if detail["type"] == "missing":
        return Problem(path=path, message="is required")
    value = _quote(detail["input"])
    text = detail["msg"]
    return Problem(path=path, message=f"{value}: {text[0].lower()}{text[1:]}")


def _quote(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= MAX_VALUE_CHARACTERS else text[:MAX_VALUE_CHARACTERS] + "..."


def _path(location: tuple[int | str, ...]) -> str:
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.lstrip(".") or "file"


def _suggestion(location: tuple[int | str, ...]) -> str:
    return _similar(str(location[-1]), _fields_at(location[:-1]))


def _similar(word: str, known: Sequence[str]) -> str:
    match = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {match[0]}?" if match else ""


def _fields_at(location: tuple[int | str, ...]) -> list[str]:
    model: Any = ProRLJob
    for part in location:
        if isinstance(part, int):
            continue
        fields = {to_camel(name): field for name, field in model.model_fields.items()}
        model = _model_of(fields[part].annotation) if part in fields else None
        if model is None:
            return []
    return [to_camel(name) for name in model.model_fields]


def _model_of(annotation: Any) -> type[BaseModel] | None:
    """The model inside X, X | None or list[X]."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (_model_of(argument) for argument in getattr(annotation, "__args__", ()))
    return next((model for model in found if model is not None), None)
