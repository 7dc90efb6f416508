"""When a signal has been out of bounds for too long: pure rules over one step's numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Limit:
    """A metric must not be over (or under) `bound` for `steps` steps in a row."""

    rule: str
    """Field of spec.guard."""
    metric: str
    bound: float
    steps: int
    below: bool = False
    """True: under the bound is out of bounds."""

    def is_broken(self, value: float) -> bool:
        """At the bound is within it."""
        return value < self.bound if self.below else value > self.bound


def count(
    before: Mapping[str, int], limits: Sequence[Limit], values: Mapping[str, float]
) -> dict[str, int]:
    """Steps in a row that each rule has been broken, by rule; rules that are kept are left out. A
    step that has not measured a metric says nothing about it."""
    counts = {limit.rule: _count(before.get(limit.rule, 0), limit, values) for limit in limits}
    return {rule: number for rule, number in counts.items() if number}


def _count(before: int, limit: Limit, values: Mapping[str, float]) -> int:
    if limit.metric not in values:
        return before
    return before + 1 if limit.is_broken(values[limit.metric]) else 0


def first_exceeded(limits: Sequence[Limit], counts: Mapping[str, int]) -> Limit | None:
    """The first limit that has been broken for all of its steps."""
    return next((limit for limit in limits if counts.get(limit.rule, 0) >= limit.steps), None)
