"""Which checkpoints go once a new one is durable: pure."""

from collections.abc import Container, Sequence


def dispensable(steps: Sequence[int], *, keep: int, spared: Container[int]) -> list[int]:
    """What is over the `keep` newest and not spared, oldest first. steps: oldest first."""
    return [step for step in steps[:-keep] if step not in spared]


def healthy(steps: Sequence[int], since: int | None) -> list[int]:
    """The newest step before `since`, if there is one; nothing for None."""
    earlier = [step for step in steps if since is not None and step < since]
    return earlier[-1:]
