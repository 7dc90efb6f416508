"""When losing learners again and again is no accident any more."""

from dataclasses import dataclass

MAX_LOSSES = 3
"""One may be an accident, and a second befall the start after it; a third is taken for a fault that
stays. Starts after a loss come without a pause and are nobody's restarts, so they must be few: the
end with TRAINER_LOST hands over to spec.runPolicy, which pauses and counts. A job that never gets
on has started its learners MAX_LOSSES x (maxRestarts + 1) times when it fails, 33 by default."""


@dataclass(kw_only=True, slots=True)
class Losses:
    """Counts losses of the learner group between which no step was finished that was new."""

    in_a_row: int = 0
    _furthest: int = -1

    def add(self, step: int) -> bool:
        """The group was lost after `step` finished steps. True when it was once too often: a rank
        that does not fit into its memory dies at the same step for ever."""
        self.in_a_row = 1 if step > self._furthest else self.in_a_row + 1
        self._furthest = max(step, self._furthest)
        return self.in_a_row >= MAX_LOSSES
