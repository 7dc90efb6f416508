"""The language model's head with the loss inside it: log-probs and exact entropies of tokens from
hidden states, and the gradient of a loss of them, in one pass over the vocabulary.

torch's linear_cross_entropy makes the logits a second time for the gradient of losses per token:
four products of [M, D] by [V, D] where three are needed. Here the loss of a chunk is known before
its logits are dropped, so its gradient is made from them.

Legend: M predicted tokens, D hidden size, V vocabulary, C rows of a chunk. [M, V] logits never
exist: they are made C rows at a time. With z = hidden·weightᵀ, p = softmax(z) and
H = -sum p·log p: dlog p_t/dz_j = [j = t] - p_j and dH/dz_j = -p_j·(log p_j + H).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

ROWS_PER_CHUNK = 256
"""C: a buffer of [C, V] exists at once, two with entropies."""

TokenLoss = Callable[[slice, Tensor, Tensor | None], Tensor]
"""The share of the loss, a scalar, of a chunk: rows, their log-probs and entropies, both [C]."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Chunk:
    """Rows of [0, M) and what the head makes of them."""

    rows: slice
    logprobs: Tensor
    """Of the targets, [C]."""
    entropy: Tensor | None
    """In nats, [C]; None unless asked for."""
    exponentials: Tensor
    """exp(z - max z), [C, V]; overwritten by the next chunk."""
    total: Tensor
    """Sums of the exponentials, [C]."""
    shifted: Tensor | None
    """z - max z, [C, V]; None without entropies."""


@torch.no_grad()
def predict(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    *,
    with_entropy: bool = False,
    rows: int = ROWS_PER_CHUNK,
) -> tuple[Tensor, Tensor | None]:
    """hidden [M, D] already divided by the temperature, weight [V, D], both fp32; targets [M].
    Returns the log-prob of each target and, if asked for, the entropy, both [M], no gradients."""
    chunks = _chunks(hidden, weight, targets, with_entropy=with_entropy, rows=rows)
    pairs = [(chunk.logprobs, chunk.entropy) for chunk in chunks]
    return torch.cat([a for a, _ in pairs]), _joined([b for _, b in pairs])


def loss_of_tokens(  # noqa: PLR0913 - three tensors make a head
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    token_loss: TokenLoss,
    *,
    with_entropy: bool = False,
    rows: int = ROWS_PER_CHUNK,
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Arguments as for predict, whose log-probs and entropies it gives to the last bit. Returns the
    sum of token_loss over the chunks, with gradients for hidden and weight, and predict's results.
    One backward pass only: it uses up the gradients that the forward pass has made."""
    found: tuple[Tensor, Tensor, Tensor | None] = _LossOfTokens.apply(  # type: ignore[no-untyped-call]
        hidden, weight, targets, token_loss, with_entropy, rows
    )
    return found


class _LossOfTokens(torch.autograd.Function):
    @staticmethod
    def forward(  # noqa: PLR0913 - autograd passes arguments by place
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        targets: Tensor,
        token_loss: TokenLoss,
        with_entropy: bool,
        rows: int,
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        ctx.gradients = torch.empty_like(hidden), torch.zeros_like(weight)
        to_hidden, to_weight = ctx.gradients
        loss, logprobs, entropies = hidden.new_zeros(()), [], []
        for chunk in _chunks(hidden, weight, targets, with_entropy=with_entropy, rows=rows):
            share, to_logprobs, to_entropy = _pull(chunk, token_loss)
            to_logits = _to_logits(chunk, targets[chunk.rows], to_logprobs, to_entropy)
            torch.mm(to_logits, weight, out=to_hidden[chunk.rows])
            to_weight.addmm_(to_logits.T, hidden[chunk.rows])
            loss += share
            logprobs.append(chunk.logprobs)
            entropies.append(chunk.entropy)
        results = torch.cat(logprobs), _joined(entropies)
        ctx.mark_non_differentiable(*(r for r in results if r is not None))
        return loss, *results

    @staticmethod
    def backward(ctx: Any, to_loss: Tensor, *_: Any) -> tuple[Any, ...]:
        if ctx.gradients is None:
            raise RuntimeError("the gradients of this loss were used up by a first backward pass")
        to_hidden, to_weight = ctx.gradients
        ctx.gradients = None
        return to_hidden.mul_(to_loss), to_weight.mul_(to_loss), None, None, None, None


def _pull(chunk: Chunk, token_loss: TokenLoss) -> tuple[Tensor, Tensor, Tensor | None]:
    """The chunk's share of the loss, and its gradients for log-probs and entropies."""
    with torch.enable_grad():
        logprobs = chunk.logprobs.detach().requires_grad_()
        entropy = None if chunk.entropy is None else chunk.entropy.detach().requires_grad_()
        share = token_loss(chunk.rows, logprobs, entropy)
        inputs = [logprobs] if entropy is None else [logprobs, entropy]
        pulls = torch.autograd.grad(share, inputs, materialize_grads=True)
    return share.detach(), pulls[0], pulls[1] if entropy is not None else None


def _to_logits(
    chunk: Chunk, targets: Tensor, to_logprobs: Tensor, to_entropy: Tensor | None
) -> Tensor:
    """Gradient for the logits [C, V], in place of the exponentials."""
    pulls = to_logprobs[:, None]
    if to_entropy is not None and chunk.shifted is not None and chunk.entropy is not None:
        # log p + H = shifted - log total + H
        constant = (chunk.entropy - chunk.total.log())[:, None]
        pulls = chunk.shifted.add_(constant).mul_(to_entropy[:, None]).add_(pulls)
    result = chunk.exponentials.div_(-chunk.total[:, None]).mul_(pulls)
    return result.scatter_add_(1, targets[:, None], to_logprobs[:, None])


def _chunks(
    hidden: Tensor, weight: Tensor, targets: Tensor, *, with_entropy: bool, rows: int
) -> Iterator[Chunk]:
    """All chunks in order; their buffers are used again."""
    count = min(rows, len(hidden))
    buffers = [hidden.new_empty(count, len(weight)) for _ in range(2 if with_entropy else 1)]
    for start in range(0, len(hidden), rows):
        part = slice(start, min(start + rows, len(hidden)))
        first, *second = (buffer[: part.stop - part.start] for buffer in buffers)
        logits = torch.mm(hidden[part], weight.T, out=first)
        # Below 0: neither the exponential nor a difference can overflow.
        logits.sub_(logits.amax(1, keepdim=True))
        chosen = logits.gather(1, targets[part, None])[:, 0]
        exponentials = torch.exp(logits, out=second[0] if second else logits)
        total = exponentials.sum(1)
        yield Chunk(
            rows=part,
            logprobs=chosen - total.log(),
            entropy=_entropy(exponentials, logits, total) if second else None,
            exponentials=exponentials,
            total=total,
            shifted=logits if second else None,
        )


def _entropy(exponentials: Tensor, shifted: Tensor, total: Tensor) -> Tensor:
    found: Tensor = total.log() - torch.linalg.vecdot(exponentials, shifted) / total
    return found


def _joined(parts: list[Tensor | None]) -> Tensor | None:
    there = [part for part in parts if part is not None]
    return torch.cat(there) if there else None
