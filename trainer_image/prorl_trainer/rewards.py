"""What the rewards of a step say, over all and per domain."""

from collections.abc import Sequence
from statistics import fmean, pstdev

from prorl_trainer.algo.passk import CORRECT
from prorl_trainer.types import Group, TrainingBatch


def group_metrics(groups: Sequence[Group]) -> dict[str, float]:
    """Of all groups drawn: spread of the raw rewards, shares of groups without a wrong or without a
    right answer, share of completions that could not be judged. Nothing for no group."""
    verdicts = [verdict for group in groups for verdict in group.verdicts]
    judged = [group.scores for group in groups if group.scores]
    if not judged:
        return {}
    return {
        "all_correct_ratio": sum(min(s) >= CORRECT for s in judged) / len(judged),
        "all_wrong_ratio": sum(max(s) <= 0 for s in judged) / len(judged),
        "unjudged_ratio": sum(v.score is None for v in verdicts) / len(verdicts),
        **_spread("reward_std", [(g.prompt.domain, s) for g in groups for s in g.scores]),
    }


def shaped_metrics(groups: Sequence[Group], batch: TrainingBatch) -> dict[str, float]:
    """Of the sequences that are trained on: mean and spread of the rewards after the length terms;
    `groups` are those that the batch was built from."""
    rewards = [(groups[s.group].prompt.domain, s.reward) for s in batch.sequences]
    means = {f"shaped_reward_mean_{d}": fmean(v) for d, v in _by_domain(rewards).items()}
    return means | _spread("shaped_reward_std", rewards)


def _spread(name: str, rewards: Sequence[tuple[str, float]]) -> dict[str, float]:
    """Population standard deviations: 0 for a single reward."""
    found = {f"{name}_{d}": pstdev(v) for d, v in _by_domain(rewards).items()}
    return {name: pstdev([reward for _, reward in rewards])} | found


def _by_domain(rewards: Sequence[tuple[str, float]]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for domain, reward in rewards:
        found.setdefault(domain, []).append(reward)
    return dict(sorted(found.items()))
