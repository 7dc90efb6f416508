"""From kept groups to the learner's batch: pure."""

from collections.abc import Sequence

from prorl_api.spec_algorithm import AdvantageSpec, AlgorithmSpec, Estimator, Normalisation

from prorl_trainer.algo import advantages
from prorl_trainer.shape import shape
from prorl_trainer.types import Group, TrainingBatch, TrainingSequence


def build_batch(spec: AlgorithmSpec, step: int, groups: Sequence[Group]) -> TrainingBatch:
    """Rewards, advantages over the whole batch, and tokens, in the order of the groups."""
    rows = [
        (index, group.prompt, completion, shape(spec, step - 1, group.prompt, completion, score))
        for index, group in enumerate(groups)
        for completion, score in group.trainable
    ]
    found = estimate(
        spec.advantage,
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
        for (index, prompt, completion, score), advantage in zip(rows, found, strict=True)
    )
    return TrainingBatch(step=step, sequences=sequences)


def estimate(
    spec: AdvantageSpec,
    *,
    rewards: Sequence[float],
    groups: Sequence[int],
    num_tokens: Sequence[int],
) -> list[float]:
    """One advantage per sequence by the chosen estimator. Raises ValueError as it does."""
    by_token = spec.normalisation is Normalisation.TOKEN
    weights = num_tokens if by_token else [1] * len(num_tokens)
    match spec.estimator:
        case Estimator.REINFORCE_PP_BASELINE:
            return advantages.reinforce_pp_baseline(rewards=rewards, groups=groups, weights=weights)
        case Estimator.REINFORCE_PP:
            return advantages.reinforce_pp(rewards=rewards, weights=weights)
        case Estimator.GRPO:
            return advantages.grpo(rewards=rewards, groups=groups)
        case Estimator.RLOO:
            return advantages.rloo(rewards=rewards, groups=groups)
        case Estimator.DR_GRPO:
            return advantages.group_centred(rewards=rewards, groups=groups)


def reward_metrics(groups: Sequence[Group], batch: TrainingBatch) -> dict[str, float]:
    """Raw and shaped mean over the sequences that are trained on. They differ from reward_mean,
    which is over everything drawn."""
    raw = [score for group in groups for _, score in group.trainable]
    shaped = [sequence.reward for sequence in batch.sequences]
    return {
        "trained_reward_mean": sum(raw) / len(raw),
        "shaped_reward_mean": sum(shaped) / len(shaped),
    }
