"""One RL step on one rank: old and reference log-probs, then the optimizer updates.

Legend: M response tokens of a microbatch.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from prorl_api.spec_algorithm import KlEstimator
from torch import Tensor

from prorl_trainer.algo.kl import clamped_delta, k1, k2, k3
from prorl_trainer.algo.masked import masked_mean
from prorl_trainer.algo.mismatch import log_rho
from prorl_trainer.algo.policy_loss import PolicyLoss, clip_higher_loss, dual_clip
from prorl_trainer.errors import NonFiniteError
from prorl_trainer.learn.correct import correct
from prorl_trainer.learn.packing import Microbatch, pack_rank, split_updates
from prorl_trainer.learn.policy import Policy, full
from prorl_trainer.learn.totals import Ranks, Scored, Totals
from prorl_trainer.types import TrainingBatch, TrainingSequence, UpdateSettings

KL_ESTIMATORS = {KlEstimator.K1: k1, KlEstimator.K2: k2, KlEstimator.K3: k3}


@dataclass(frozen=True, kw_only=True, slots=True)
class Networks:
    """What a rank holds."""

    policy: Policy
    reference: Policy
    """Frozen."""
    optimizer: torch.optim.Optimizer


def run_step(
    networks: Networks,
    batch: TrainingBatch,
    settings: UpdateSettings,
    ranks: Ranks,
) -> dict[str, float]:
    """Returns types.UpdateResult's metrics, equal on all ranks. Raises NonFiniteError."""
    check_finite(batch)
    for parameter_group in networks.optimizer.param_groups:
        parameter_group["lr"] = settings.learning_rate
    minibatches = split_updates(batch, settings.num_updates)
    scored = [_score(networks, m, settings, ranks) for m in minibatches]
    totals = Totals(exact_entropy=settings.entropy_coefficient > 0)
    for minibatch in scored:
        totals.updates += 1
        totals.grad_norm += _update(networks, minibatch, settings, ranks, totals)
    return totals.reduce(ranks)


def check_finite(batch: TrainingBatch) -> None:
    """Raises NonFiniteError naming the sequence before anything is computed from it."""
    for index, s in enumerate(batch.sequences):
        if not all(map(math.isfinite, (s.reward, s.advantage, *s.rollout_logprobs))):
            raise NonFiniteError(
                f"Step {batch.step}: sequence {index} of group {s.group} has a reward "
                f"({s.reward}), an advantage ({s.advantage}) or a rollout log-prob that is not "
                "finite; no weights were changed."
            )


def _score(
    networks: Networks,
    sequences: Sequence[TrainingSequence],
    settings: UpdateSettings,
    ranks: Ranks,
) -> list[Scored]:
    microbatches = pack_rank(
        sequences,
        rank=ranks.rank,
        world_size=ranks.world_size,
        max_tokens=settings.tokens_per_microbatch,
    )
    device = next(networks.policy.parameters()).device
    return [_score_one(networks, m, settings, device) for m in microbatches]


def _score_one(
    networks: Networks, m: Microbatch, settings: UpdateSettings, device: torch.device
) -> Scored:
    inputs = tuple(
        torch.tensor(values, dtype=torch.int64, device=device)
        for values in (m.input_ids, m.position_ids, m.predict_index, m.targets)
    )
    bonus = settings.entropy_coefficient > 0
    with torch.no_grad():
        old, entropy, _ = networks.policy(*inputs, settings.temperature, bonus)
        frozen = networks.reference(*inputs, settings.temperature, bonus).logprobs
    mask = torch.tensor(m.mask, dtype=torch.bool, device=device)
    rollout = torch.tensor(m.rollout_logprobs, dtype=torch.float32, device=device)
    # Positions restart at 0 with each packed sequence.
    sequence = (inputs[1] == 0).cumsum(0)[inputs[2]] - 1
    return Scored(
        inputs=inputs,  # type: ignore[arg-type]
        mask=mask,
        advantages=torch.tensor(m.advantages, dtype=torch.float32, device=device),
        rollout=rollout,
        old=old,
        entropy=entropy,
        correction=correct(log_rho(old, rollout), mask, sequence, settings),
        reference=frozen,
    )


def _update(
    networks: Networks,
    minibatch: list[Scored],
    settings: UpdateSettings,
    ranks: Ranks,
    totals: Totals,
) -> float:
    """One optimizer update; returns the gradient norm before clipping."""
    local = sum(int(m.mask.sum()) for m in minibatch)
    num_tokens = float(ranks.all_reduce_sum(torch.tensor(float(local), dtype=torch.float64)))
    networks.optimizer.zero_grad(set_to_none=True)
    loss_sum = torch.zeros((), dtype=torch.float64)
    for m in minibatch:
        loss = _loss(networks.policy, m, settings, num_tokens, totals)
        # FSDP averages gradients over ranks; the loss is already divided by the global count.
        (loss * ranks.world_size).backward()
        loss_sum += loss.detach().double().cpu()
    norm = float(
        full(torch.nn.utils.clip_grad_norm_(networks.policy.parameters(), settings.max_grad_norm))
    )
    loss_total = float(ranks.all_reduce_sum(loss_sum))
    if not (math.isfinite(norm) and math.isfinite(loss_total)):
        raise NonFiniteError(
            f"Loss {loss_total} or gradient norm {norm} is not finite; the update was not made."
        )
    networks.optimizer.step()
    totals.loss += loss_total
    return norm


def _loss(
    policy: Policy, m: Scored, settings: UpdateSettings, num_tokens: float, totals: Totals
) -> Tensor:
    def token_loss(rows: slice, logprobs: Tensor, entropy: Tensor | None) -> Tensor:
        terms = _terms(m, rows, logprobs, settings)
        if entropy is not None:
            terms = terms - settings.entropy_coefficient * entropy
        return masked_mean(terms, m.mask[rows], num_tokens)

    bonus = settings.entropy_coefficient > 0
    found = policy(*m.inputs, settings.temperature, bonus, token_loss)
    assert found.loss is not None
    totals.add(m, *_surrogate(m, slice(None), found.logprobs, settings), settings)
    loss: Tensor = found.loss
    return loss


def _terms(m: Scored, rows: slice, logprobs: Tensor, settings: UpdateSettings) -> Tensor:
    """Policy and KL loss of the tokens in `rows` of the microbatch."""
    surrogate, _ = _surrogate(m, rows, logprobs, settings)
    penalty = KL_ESTIMATORS[settings.kl_estimator](
        clamped_delta(logprobs, m.reference[rows], settings.kl_clamp)
    )
    return m.correction.weights[rows] * surrogate.loss + settings.kl_coefficient * penalty


def _surrogate(
    m: Scored, rows: slice, logprobs: Tensor, settings: UpdateSettings
) -> tuple[PolicyLoss, Tensor]:
    """The clipped surrogate, and where the dual clip was needed."""
    advantages = m.advantages[rows]
    found = clip_higher_loss(
        logprobs, m.old[rows], advantages, low=settings.clip_low, high=settings.clip_high
    )
    limit = math.inf if settings.clip_dual is None else settings.clip_dual
    loss, over = dual_clip(found.loss, advantages, limit)
    return replace(found, loss=loss), over
