"""From kept groups to the learner's batch: pure."""

from collections.abc import Sequence

from prorl_trainer.algo.advantages import reinforce_pp_baseline
from prorl_trainer.types import Completion, Group, TrainingBatch, TrainingSequence


def judged(group: Group) -> list[tuple[Completion, float]]:
    """The completions that have a score; the others are masked out of the step."""
    pairs = zip(group.completions, group.verdicts, strict=True)
    return [(completion, v.score) for completion, v in pairs if v.score is not None]


def build_batch(step: int, groups: Sequence[Group]) -> TrainingBatch:
    """Rewards, advantages over the whole batch, and tokens, in the order of the groups."""
    rows = [
        (index, group.prompt, completion, score)
        for index, group in enumerate(groups)
        for completion, score in judged(group)
    ]
    advantages = reinforce_pp_baseline(
        rewards=[score for _, _, _, score in rows],
        groups=[index for index, _, _, _ in rows],
        num_tokens=[sum(completion.mask) for _, _, completion, _ in rows],
    )
    sequences = tuple(
        TrainingSequence(
            prompt_token_ids=prompt.token_ids,
            response_token_ids=completion.token_ids,
            mask=completion.mask,
            rollout_logprobs=completion.logprobs,
            group=index,
            reward=score,
            advantage=advantage,
        )
        for (index, prompt, completion, score), advantage in zip(rows, advantages, strict=True)
    )
    return TrainingBatch(step=step, sequences=sequences)
