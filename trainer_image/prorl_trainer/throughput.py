"""How fast a step was and what it waited for: pure."""

import math
from collections.abc import Sequence

from prorl_trainer.collected import Collected


def throughput(drawn: Collected, *, waited: float, elapsed: float) -> dict[str, float]:
    """Rates of what the step has drawn, and shares of its time: `waited` seconds for its groups, of
    `elapsed` for them and the learners together. With rollout.maxStaleness 1 what was drawn while
    the step before was learned from counts, the waiting for it does not. What was taken from the
    journal was drawn long before."""
    groups = [group for group in drawn.drawn if group.prompt.ordinal not in drawn.replayed]
    completions = [c for group in groups for c in group.completions]
    values = {
        "samples_per_second": len(completions) / elapsed,
        "tokens_per_second": sum(len(c.token_ids) for c in completions) / elapsed,
        "wait_for_batch": waited / elapsed,
    }
    slow = nearest_rank(drawn.verify_latencies, 0.99)
    if slow is None:
        return values
    return values | {"verify_p99_seconds": slow, "verify_p99_share": slow / elapsed}


def nearest_rank(values: Sequence[float], share: float) -> float | None:
    """The least value that `share` of them are not above; None of none."""
    return sorted(values)[math.ceil(share * len(values)) - 1] if values else None
