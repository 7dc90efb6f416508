"""The run directory of local mode: who may use it, and what the coordinator finds in it."""

import fcntl
import json
import os
import secrets
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from prorl_api.canonical import dumps, job_document
from prorl_api.exit_codes import ExitCode
from prorl_api.job import ProRLJob
from prorl_api.rules import MUTABLE, WHILE_SUSPENDED
from prorl_api.wire import JobDocument
from pydantic import ValidationError

from prorl_cli.report import ADVICE

LOCK = "lock"
TERMINATION = "termination.json"
TERMINATION_BYTES = 8192
REFUSED = 2
"""Exit code for a manifest or a directory that is refused, and of click for a wrong option."""
MAY_DIFFER = (
    "network", "managedBy", "checkpoint.resume",
    *(path.removeprefix("spec.") for path in (*MUTABLE, *WHILE_SUSPENDED)),
)  # fmt: skip
"""Paths below spec that may differ when a run is resumed (prorl_api.canonical.spec_hash)."""


class RunDirectoryError(Exception):
    """The directory cannot be used; the message says why and what to do."""

    def __init__(self, message: str, exit_code: int = REFUSED) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def prepare(directory: Path, job: ProRLJob, *, fresh: bool) -> int:
    """Makes or takes over the directory. Returns a locked file descriptor: the lock lives as long
    as a process has it open. Raises RunDirectoryError."""
    try:
        lock = _lock(directory)
        if fresh and (directory / "job.json").exists():
            os.close(lock)
            directory.rename(_aside(directory))
            lock = _lock(directory)
        _refuse_other_job(directory, job)
        _write(directory, job)
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        raise RunDirectoryError(
            f"{directory} cannot be used: {error.strerror}{where}. {ADVICE[ExitCode.STORAGE]}",
            ExitCode.STORAGE,
        ) from error
    return lock


def coordinator_log(directory: Path) -> Path:
    """What the coordinator and Ray say."""
    return directory / "logs" / "coordinator.log"


def checkpoints_set_aside(directory: Path) -> list[str]:
    """Names of those that were corrupt or superseded."""
    return sorted(path.name for path in (directory / "checkpoints").glob("step-*.bad-*"))


def _lock(directory: Path) -> int:
    directory.mkdir(parents=True, exist_ok=True)
    lock = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        raise RunDirectoryError(
            f"Another run is using {directory}{_user_of(directory)}. Wait for it, end it, or "
            "choose another --out."
        ) from error
    return lock


def _user_of(directory: Path) -> str:
    """The coordinator outlives a command that was killed: say which process to end."""
    try:
        return f" (process {json.loads((directory / 'endpoint.json').read_text())['pid']})"
    except (OSError, ValueError, KeyError):
        return ""  # it has only just begun


def _aside(directory: Path) -> Path:
    number = 1
    while (candidate := directory.with_name(f"{directory.name}.{number}")).exists():
        number += 1
    return candidate


def _refuse_other_job(directory: Path, job: ProRLJob) -> None:
    path = directory / "job.json"
    if not path.exists():
        return
    try:
        there = JobDocument.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise RunDirectoryError(
            f"{path} is not a job of this version. Use --fresh to move {directory} aside."
        ) from error
    if there.hash != job_document(job).hash:
        raise RunDirectoryError(
            f"{directory} holds a run of another job: {_first_difference(there, job)}. "
            "Use --fresh to move it aside and start anew, or choose another --out."
        )


def _first_difference(there: JobDocument, job: ProRLJob) -> str:
    old, new = (
        dict(_leaves(spec.model_dump(mode="json", by_alias=True), ""))
        for spec in (there.spec, job.spec)
    )
    for path in sorted(old.keys() | new.keys()):
        if not path.startswith(MAY_DIFFER) and old.get(path) != new.get(path):
            return f"spec.{path} was {old.get(path)!r} and is {new.get(path)!r} now"
    return "its specification differs"


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, child in value.items():
            yield from _leaves(child, f"{path}.{key}".lstrip("."))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from _leaves(child, f"{path}[{index}]")
    else:
        yield path, value


def _write(directory: Path, job: ProRLJob) -> None:
    """job.json, a token, places for the log and the last word; an earlier end's are removed."""
    (directory / "logs").mkdir(exist_ok=True)
    coordinator_log(directory).touch()
    (directory / "endpoint.json").unlink(missing_ok=True)
    # Room for the reason in case the disk is full by then.
    (directory / TERMINATION).write_bytes(b" " * TERMINATION_BYTES)
    metadata = job.metadata.model_copy(update={"uid": _uid(directory)})
    document = job_document(job.model_copy(update={"metadata": metadata}))
    _replace(directory / "job.json", dumps(document.model_dump(mode="json", by_alias=True)))
    _replace(directory / "token", secrets.token_urlsafe(32))


def _uid(directory: Path) -> str:
    """Of the run: kept when it is resumed, another after --fresh."""
    path = directory / "job.json"
    if path.exists():
        return JobDocument.model_validate_json(path.read_bytes()).uid
    return str(uuid.uuid4())


def _replace(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    temporary.rename(path)
