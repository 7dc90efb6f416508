"""What a custom verifier is written with. docs/verifiers.md, "Custom verifiers", has the rules.

A package offers `verify(completion: str, answer: Any, meta: dict[str, Any]) -> Verdict` under the
entry-point group `prorl.verifiers`; the entry point's name is the verifier's name.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["Verdict", "Verify", "from_compute_score"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a completion is worth."""

    score: float
    """From 0 to 1; 1 is a pass."""
    reason: str = ""
    """For people who read verdicts."""


Verify = Callable[[str, Any, dict[str, Any]], Verdict]
"""Completion, answer of the row as JSON, meta of the row -> verdict."""


def from_compute_score(
    compute_score: Callable[..., Any], *, data_source: str | None = None
) -> Verify:
    """A verifier from a reward function that was written for verl, which is called with
    data_source, solution_str, ground_truth and extra_info and returns a number or a dict with
    `score`. data_source and extra_info come from meta; the argument replaces the former."""

    def verify(completion: str, answer: Any, meta: dict[str, Any]) -> Verdict:
        result = compute_score(
            data_source=meta["data_source"] if data_source is None else data_source,
            solution_str=completion,
            ground_truth=answer,
            extra_info=meta.get("extra_info"),
        )
        score = result["score"] if isinstance(result, dict) else result
        return Verdict(float(score) if isinstance(score, bool) else score)

    return verify
