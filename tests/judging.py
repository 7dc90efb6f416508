"""A completion through a domain, or as a worker judges it, without a worker."""

from types import ModuleType
from typing import Any

from prorl_verifier.worker import opened


def score(
    domain: ModuleType, completion: str, answer: Any, meta: dict[str, Any]
) -> tuple[float, str]:
    """Score and reason."""
    found: tuple[float, str] = domain.grader(answer, meta)(completion)
    return found


def judge(item: dict[str, Any]) -> dict[str, Any]:
    """What a worker answers."""
    return opened(item)(item["completion"])
