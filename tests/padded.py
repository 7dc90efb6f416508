"""The learner's step written down densely: [B, T] batches with padding and an attention mask.

It shares the learner's weights, optimizer and formulas, and nothing of its packing.
Legend: B sequences of a padded batch, T tokens of the longest one, R of the longest response.
"""

from collections.abc import Sequence

import torch
from learner_rank import Recording
from prorl_trainer.algo.kl import clamped_delta, k2
from prorl_trainer.algo.masked import masked_mean
from prorl_trainer.algo.policy_loss import clip_higher_loss
from prorl_trainer.learn.policy import Policy
from prorl_trainer.types import TrainingBatch, TrainingSequence, UpdateSettings
from torch import Tensor, nn


def padded_step(
    learner: Recording, batch: TrainingBatch, settings: UpdateSettings, size: int
) -> float:
    """One update with k2 and no mismatch correction; returns the loss."""
    networks = learner._networks
    for network in (networks.policy, networks.reference):
        network.hf.set_attn_implementation("sdpa")  # that of the learner takes no padding mask
    rows = batch.sequences
    parts = [rows[i : i + size] for i in range(0, len(rows), size)]
    with torch.no_grad():
        frozen = [
            (_logprobs(networks.policy, part, settings.temperature),
             _logprobs(networks.reference, part, settings.temperature))
            for part in parts
        ]  # fmt: skip
    count = float(sum(sum(s.mask) for s in rows))
    networks.optimizer.zero_grad(set_to_none=True)
    total = 0.0
    for part, (old, reference) in zip(parts, frozen, strict=True):
        loss = _loss(_logprobs(networks.policy, part, settings.temperature), old, reference,
                     part, settings, count)  # fmt: skip
        loss.backward()
        total += float(loss.detach())
    nn.utils.clip_grad_norm_(networks.policy.parameters(), settings.max_grad_norm)
    networks.optimizer.step()
    return total


def _loss(
    logprobs: Tensor,
    old: Tensor,
    reference: Tensor,
    part: Sequence[TrainingSequence],
    settings: UpdateSettings,
    num_tokens: float,
) -> Tensor:
    mask = _padded([[float(m) for m in s.mask] for s in part], 0.0).bool()
    advantages = torch.tensor([s.advantage for s in part])[:, None].expand_as(logprobs)
    surrogate = clip_higher_loss(
        logprobs, old, advantages, low=settings.clip_low, high=settings.clip_high
    )
    penalty = k2(clamped_delta(logprobs, reference, settings.kl_clamp))
    return masked_mean(surrogate.loss + settings.kl_coefficient * penalty, mask, num_tokens)


def _logprobs(policy: Policy, part: Sequence[TrainingSequence], temperature: float) -> Tensor:
    """[B, R]; what stands at padded places means nothing."""
    ids = _padded([s.prompt_token_ids + s.response_token_ids for s in part], 0)
    there = _padded([[1] * (len(s.prompt_token_ids) + len(s.mask)) for s in part], 0)
    targets = _padded([s.response_token_ids for s in part], 0)
    hidden = policy.hf.model(input_ids=ids, attention_mask=there, use_cache=False).last_hidden_state
    first = torch.tensor([len(s.prompt_token_ids) - 1 for s in part])
    where = (first[:, None] + torch.arange(targets.shape[1])).clamp(max=ids.shape[1] - 1)
    states = hidden.gather(1, where[..., None].expand(-1, -1, hidden.shape[-1])) / temperature
    logprobs = policy.hf.lm_head(states).log_softmax(-1)
    return logprobs.gather(2, targets[..., None])[..., 0]


def _padded(rows: Sequence[Sequence[float]], value: float) -> Tensor:
    longest = max(map(len, rows))
    return torch.tensor([[*row, *[value] * (longest - len(row))] for row in rows])
