"""A completion through a domain, or as a worker judges it, without a worker."""

from types import ModuleType
from typing import Any

from prorl_verifier.runs import Task, tasks
from prorl_verifier.wire import encode
from prorl_verifier.worker import opened


def score(
    domain: ModuleType, completion: str, answer: Any, meta: dict[str, Any]
) -> tuple[float, str]:
    """Score and reason."""
    found: tuple[float, str] = domain.grader(answer, meta)(completion)
    return found


def judge(item: dict[str, Any]) -> dict[str, Any]:
    """What a worker answers."""
    task = make_task(item)
    return opened(task)(task)


def make_task(item: dict[str, Any]) -> Task:
    """The item as a worker reads it."""
    (task,) = tasks(encode([{"meta": {}, **item}]))
    return task
