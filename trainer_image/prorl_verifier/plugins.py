"""Custom verifiers that are installed: their names for the service, they themselves for a worker.

The service never imports one: whatever it does then, it does in a process that can be killed.
"""

import logging
import os
import re
from collections.abc import Callable, Iterable
from copy import deepcopy
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from prorl_verifier import processes
from prorl_verifier.errors import BadItemError
from prorl_verifier.given import MAX_REASON_CHARACTERS, checked, short
from prorl_verifier.plugin import Verdict, Verify
from prorl_verifier.wire import VERIFIERS

log = logging.getLogger(__name__)

GROUP = "prorl.verifiers"
NAME_PATTERN = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
"""Of the names that spec.data.train[].verifier takes."""

Grade = Callable[[str], tuple[float, str]]
Grader = Callable[[Any, dict[str, Any]], Grade]
"""As a worker's; the answer and meta are read by what is called, for each completion anew."""


def installed() -> list[EntryPoint]:
    """What is installed, in order of names; nothing is imported."""
    return sorted(entry_points(group=GROUP), key=lambda point: (point.name, point.value))


def wrong_names(points: Iterable[EntryPoint], remotes: Iterable[str]) -> list[str]:
    """A sentence for each name that no job can use, or that would stand for two verifiers."""
    wanted = [(f"--remote {name}", name) for name in remotes]
    wanted += [(f"{GROUP}: {point.name} = {point.value}", point.name) for point in points]
    owners = dict.fromkeys(VERIFIERS, "this service itself")
    wrong = []
    for source, name in wanted:
        if not re.fullmatch(NAME_PATTERN, name):
            wrong.append(f"{source}: the name must match {NAME_PATTERN}")
        elif name in owners:
            wrong.append(f"{source}: the name belongs to {owners[name]}")
        owners.setdefault(name, source)
    return wrong


def graders(points: Iterable[EntryPoint]) -> dict[str, Grader]:
    """Imports them, for a worker. One that cannot be imported says so with every item."""
    return {point.name: _import(point) for point in points}


def _import(point: EntryPoint) -> Grader:
    try:
        verify = point.load()
        if not callable(verify):
            raise TypeError(f"{point.value} is {type(verify).__name__}, must be a function")
    except (Exception, SystemExit) as error:
        broken = f"verifier {point.name} cannot be imported: {_named(error)}"
        log.exception("%s: no completion can be judged by it", broken)
        return _refuse(broken)
    return _guard(point.name, verify)


def _refuse(text: str) -> Grader:
    def grader(answer: Any, meta: dict[str, Any]) -> Grade:
        raise BadItemError(text)

    return grader


def _guard(name: str, verify: Verify) -> Grader:
    """What it raises or returns can never look like a verdict, what it starts is ended, and what it
    changes in its arguments is not there for the next completion.

    Too deep a recursion and too little memory are left to the worker, as of any scorer."""

    def grader(answer: Any, meta: dict[str, Any]) -> Grade:
        return lambda completion: _guarded(name, verify, (completion, *deepcopy((answer, meta))))

    return grader


def _guarded(
    name: str, verify: Verify, arguments: tuple[str, Any, dict[str, Any]]
) -> tuple[float, str]:
    mine = os.getpid()
    try:
        return _checked(name, verify(*arguments))
    except (BadItemError, RecursionError, MemoryError):
        raise
    except (Exception, SystemExit) as error:
        log.exception("verifier %s raised", name)
        raise BadItemError(f"verifier {name} raised {_named(error)}") from error
    finally:
        if os.getpid() != mine:
            os._exit(0)  # a fork that came back: there is one verdict only
        processes.end_children()


def _checked(name: str, verdict: Any) -> tuple[float, str]:
    if not isinstance(verdict, Verdict):
        found = f"{short(verdict)}, must return prorl_verifier.plugin.Verdict"
        raise BadItemError(f"verifier {name} returned {found}")
    try:
        return checked(verdict.score, verdict.reason)
    except ValueError as error:
        raise BadItemError(f"verifier {name} gave {error}") from error


def _named(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:MAX_REASON_CHARACTERS]
