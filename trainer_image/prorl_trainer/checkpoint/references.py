"""Which checkpoints hold which copy of the frozen reference, so that nobody writes it again: pure.

Until a reset its bytes are the same in every checkpoint. There are two copies of them, and
checkpoints hold one and the other by turns: a byte that goes bad in one copy leaves the neighbours
of the checkpoints that it breaks good.
"""

from collections.abc import Container


class ReferenceCopies:
    """Of the checkpoints whose copy is known to be good: this attempt wrote it, or verified it as
    it was loaded."""

    def __init__(self) -> None:
        self._held: dict[int, tuple[int, int]] = {}
        """Step -> version of the reference, number of the copy."""

    def loaded(self, step: int, version: int) -> None:
        """The run goes on from this checkpoint: another history may have the same versions."""
        self._held = {step: (version, 0)}

    def source(self, version: int, steps: Container[int]) -> int | None:
        """Of the checkpoints that are there, the one to take this version from: the newest that
        has not the copy of the last. None: it must be written."""
        of_version = {
            copy: step
            for step, (its, copy) in sorted(self._held.items())
            if its == version and step in steps
        }
        newest = max(of_version.values(), default=None)
        return max((step for step in of_version.values() if step != newest), default=None)

    def committed(self, step: int, version: int, source: int | None) -> None:
        """A checkpoint that took its copy from `source`, or has a new one."""
        copy = 1 + max(copy for _, copy in self._held.values()) if self._held else 0
        if source is not None:
            copy = self._held[source][1]
        self._held[step] = version, copy
