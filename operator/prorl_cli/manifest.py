"""A manifest file, with the changes that the command line asks for."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prorl_api.job import ProRLJob, ProRLJobSpec
from prorl_api.rules import broken_rules
from prorl_api.validate import Problem, read_documents, read_manifest

_STEP = re.compile(r"([A-Za-z][A-Za-z0-9]*)((?:\[\d+\])*)")


def read_file(path: Path) -> list[Any] | Problem:
    """The documents of a file, or why there are none."""
    try:
        documents = read_documents(path.read_text(encoding="utf-8"))
    except OSError as error:
        return Problem(path="file", message=f"cannot be read: {error.strerror}")
    except UnicodeDecodeError as error:
        return Problem(path="file", message=f"is not UTF-8 text: byte {error.start}")
    if documents == []:
        return Problem(path="file", message="is empty, must hold a ProRLJob")
    return documents


def load_job(path: Path, changes: Sequence[str]) -> ProRLJob | list[Problem]:
    """The one job of a file after `changes` such as spec.algorithm.steps=10, to be run here."""
    job = load_for_cluster(path, changes)
    return (_only_on_a_cluster(job.spec) or job) if isinstance(job, ProRLJob) else job


def load_for_cluster(path: Path, changes: Sequence[str]) -> ProRLJob | list[Problem]:
    """The same, to be run on a cluster."""
    documents = read_file(path)
    if isinstance(documents, Problem):
        return [documents]
    if len(documents) != 1:
        return [Problem(path="file", message=f"has {len(documents)} documents, must have 1")]
    for change in changes:
        problem = _apply(documents[0], change)
        if problem is not None:
            return [problem]
    job = read_manifest(documents[0])
    if not isinstance(job, ProRLJob):
        return job
    findings = [Problem(path=path, message=message) for path, message in broken_rules(job.spec)]
    return findings or job


def _only_on_a_cluster(spec: ProRLJobSpec) -> list[Problem]:
    suspended = Problem(path="spec.suspend", message="is true: nothing would be trained")
    return [*([suspended] if spec.suspend else []), *_claims(spec)]


def _claims(spec: ProRLJobSpec) -> list[Problem]:
    held_out = spec.data.validation.sets if spec.data.validation else []
    uris = {"spec.model.uri": spec.model.uri}
    uris |= {f"spec.data.train[{i}].uri": s.uri for i, s in enumerate(spec.data.train)}
    uris |= {f"spec.data.validation.sets[{i}].uri": s.uri for i, s in enumerate(held_out)}
    return [
        Problem(path=path, message=f"{uri}: claims exist on a cluster only; use file:///PATH here")
        for path, uri in uris.items()
        if uri.startswith("pvc://")
    ]


def _apply(manifest: Any, change: str) -> Problem | None:
    """Sets one value in place; lists and mappings on the way must fit."""
    path, equals, text = change.partition("=")
    keys = _keys(path)
    value = read_documents(text)
    if not equals or not keys or isinstance(value, Problem):
        return Problem(path=f"--set {change}", message="must be PATH=VALUE, as in spec.trainer.x=1")
    node = manifest
    for key, following in zip(keys, [*keys[1:], None], strict=True):
        fits = isinstance(node, dict) if isinstance(key, str) else isinstance(node, list)
        if not fits or (isinstance(key, int) and key >= len(node)):
            return Problem(path=f"--set {path}", message=f"there is no {key!r} to go into")
        if following is None:
            node[key] = value[0] if value else None
        elif isinstance(key, str) and node.get(key) is None:
            node[key] = {}
        node = node[key]
    return None


def _keys(path: str) -> list[str | int]:
    """`spec.data.train[0].weight` -> ["spec", "data", "train", 0, "weight"]; [] if malformed."""
    keys: list[str | int] = []
    for part in path.strip().split("."):
        match = _STEP.fullmatch(part)
        if match is None:
            return []
        keys.append(match[1])
        keys.extend(int(index) for index in re.findall(r"\d+", match[2]))
    return keys if keys[0] == "spec" else ["spec", *keys]
