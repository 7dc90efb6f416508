"""How old the weights were that wrote a token, in versions: one version is published per RL step.

A version is named ATTEMPT-STEP: the policy after that many finished steps. Attempts of one job go
through the same policies (resume is exact), so the step alone tells them apart.
"""

from collections.abc import Sequence
from dataclasses import replace

from prorl_trainer.errors import WeightSyncError
from prorl_trainer.types import Completion, Group


def version_name(attempt: int, step: int) -> str:
    """Name of the policy after `step` finished steps."""
    return f"{attempt}-{step}"


def version_step(version: str) -> int:
    """The step in a version's name. Raises WeightSyncError for weights that no learner has sent."""
    _, _, step = version.rpartition("-")
    if not step.isdigit():
        raise WeightSyncError(f"A completion was written by the weights {version!r} of no learner.")
    return int(step)


def refuse_other(completions: Sequence[Completion], expected: str) -> None:
    """Raises WeightSyncError if any token is not from the expected version."""
    for completion in completions:
        if completion.weight_versions != (expected,):
            raise WeightSyncError(
                f"{completion.request_id} was written by weights {completion.weight_versions}, "
                f"must be {expected}."
            )


def ages(completion: Completion, step: int) -> list[tuple[int, int]]:
    """(number of tokens, age) of each span, when the policy after `step` finished steps learns from
    it; age 0 is on-policy."""
    return [(s.end - s.start, step - version_step(s.version)) for s in completion.spans]


def oldest(completions: Sequence[Completion], step: int) -> int:
    """Greatest age of a token; 0 without completions."""
    return max((age for c in completions for _, age in ages(c, step)), default=0)


def drop_stale(group: Group, *, step: int, max_staleness: int) -> Group:
    """The group without the completions that have a token older than max_staleness versions."""
    fresh = [
        (completion, verdict)
        for completion, verdict in zip(group.completions, group.verdicts, strict=True)
        if oldest([completion], step) <= max_staleness
    ]
    return replace(
        group,
        completions=tuple(completion for completion, _ in fresh),
        verdicts=tuple(verdict for _, verdict in fresh),
    )


def staleness_metrics(groups: Sequence[Group], step: int) -> dict[str, float]:
    """Mean and maximum over all tokens of the groups."""
    found = [pair for g in groups for c in g.completions for pair in ages(c, step)]
    num_tokens = sum(number for number, _ in found)
    return {
        "staleness_mean": sum(n * age for n, age in found) / max(1, num_tokens),
        "staleness_max": float(max((age for _, age in found), default=0)),
    }
