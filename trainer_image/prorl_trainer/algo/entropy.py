"""Log-probs together with the exact entropy of each token's distribution, from hidden states.

Legend: M predicted tokens, D hidden size, V vocabulary, C rows of a chunk. [M, V] logits never
exist: they are made C rows at a time, and made again for the gradient.

With z = hidden·weightᵀ, p = softmax(z) and H = -sum p·log p:
dlog p_t/dz_j = [j = t] - p_j and dH/dz_j = -p_j·(log p_j + H).
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

ROWS_PER_CHUNK = 256
"""C: two buffers of [C, V] exist at once."""


def logprobs_and_entropy(
    hidden: Tensor, weight: Tensor, targets: Tensor, rows: int = ROWS_PER_CHUNK
) -> tuple[Tensor, Tensor]:
    """hidden [M, D] already divided by the temperature, weight [V, D], both fp32; targets [M].
    Returns the log-prob of each target and the entropy in nats, both [M], with gradients."""
    found: tuple[Tensor, Tensor] = _LogprobsAndEntropy.apply(  # type: ignore[no-untyped-call]
        hidden, weight, targets, rows
    )
    return found


class _LogprobsAndEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, rows: int
    ) -> tuple[Tensor, Tensor]:
        normaliser, logprobs, entropy = (hidden.new_empty(len(targets)) for _ in range(3))
        for part, logits, exponentials in _chunks(hidden, weight, rows):
            top = logits.amax(1)
            # Below 0: neither the exponential nor the difference below can overflow.
            torch.exp(logits.sub_(top[:, None]), out=exponentials)
            total = exponentials.sum(1)
            entropy[part] = total.log() - torch.linalg.vecdot(exponentials, logits) / total
            logprobs[part] = logits.gather(1, targets[part, None])[:, 0] - total.log()
            normaliser[part] = top + total.log()
        ctx.save_for_backward(hidden, weight, targets, normaliser, entropy)
        ctx.rows = rows
        return logprobs, entropy

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None]:
        hidden, weight, targets, normaliser, entropy = ctx.saved_tensors
        to_logprobs, to_entropy = gradients
        to_hidden, to_weight = torch.empty_like(hidden), torch.zeros_like(weight)
        for part, logits, probabilities in _chunks(hidden, weight, ctx.rows):
            torch.exp(logits.sub_(normaliser[part, None]), out=probabilities)
            to_logits = logits.add_(entropy[part, None]).mul_(to_entropy[part, None])
            to_logits.add_(to_logprobs[part, None]).mul_(probabilities).neg_()
            to_logits.scatter_add_(1, targets[part, None], to_logprobs[part, None])
            torch.mm(to_logits, weight, out=to_hidden[part])
            to_weight.addmm_(to_logits.T, hidden[part])
        return to_hidden, to_weight, None, None


def _chunks(hidden: Tensor, weight: Tensor, rows: int) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """Rows of [0, M), their logits [C, V], and as much room; both buffers are used again."""
    count = min(rows, len(hidden))
    buffers = hidden.new_empty(2, count, len(weight))
    for start in range(0, len(hidden), rows):
        part = slice(start, min(start + rows, len(hidden)))
        logits, room = buffers[:, : part.stop - part.start]
        yield part, torch.mm(hidden[part], weight.T, out=logits), room
