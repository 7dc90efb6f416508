"""Exact entropy beside log-probs, in chunks: the textbook's values and gradients."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from prorl_trainer.algo.entropy import logprobs_and_entropy
from prorl_trainer.algo.masked import masked_mean
from torch import Tensor

torch.set_num_threads(1)


def tensors(rows: int = 7, seed: int = 0, scale: float = 1.0) -> tuple[Tensor, Tensor, Tensor]:
    """hidden [rows, 5], weight [11, 5], targets [rows]; in double precision."""
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.randn(rows, 5, generator=generator, dtype=torch.float64) * scale
    weight = torch.randn(11, 5, generator=generator, dtype=torch.float64)
    targets = torch.randint(0, 11, (rows,), generator=generator)
    return hidden.requires_grad_(), weight.requires_grad_(), targets


def textbook(hidden: Tensor, weight: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    logprobs = torch.log_softmax(hidden @ weight.T, -1)
    entropy = -(logprobs.exp() * logprobs).sum(-1)
    return logprobs.gather(1, targets[:, None])[:, 0], entropy


def test_a_uniform_and_a_certain_distribution() -> None:
    hidden, targets = torch.tensor([[0.0], [1.0]]), torch.tensor([2, 0])
    weight = torch.tensor([[100.0], [0.0], [0.0], [0.0]])
    logprobs, entropy = logprobs_and_entropy(hidden, weight, targets)
    assert logprobs.tolist() == pytest.approx([-math.log(4), 0.0], abs=1e-6)
    assert entropy.tolist() == pytest.approx([math.log(4), 0.0], abs=1e-6)


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 9), st.integers(1, 10), st.integers(0, 99), st.sampled_from([0.1, 1.0, 20.0]))
def test_any_chunking_gives_the_textbooks_values_and_gradients(
    rows: int, chunk: int, seed: int, scale: float
) -> None:
    hidden, weight, targets = tensors(rows, seed, scale)
    factors = torch.randn(2, rows, generator=torch.Generator().manual_seed(seed)).double()
    gradients, values = [], []
    for found in (
        logprobs_and_entropy(hidden, weight, targets, chunk),
        textbook(hidden, weight, targets),
    ):
        values.append([v.detach() for v in found])
        total = (factors[0] * found[0] + factors[1] * found[1]).sum()
        gradients.append(torch.autograd.grad(total, (hidden, weight)))
    torch.testing.assert_close(values[0], values[1], atol=1e-10, rtol=1e-8)
    torch.testing.assert_close(gradients[0], gradients[1], atol=1e-10, rtol=1e-8)


def test_the_gradient_is_that_of_finite_differences() -> None:
    hidden, weight, targets = tensors(rows=4)
    assert torch.autograd.gradcheck(
        lambda h, w: logprobs_and_entropy(h, w, targets, 3), (hidden, weight)
    )


def test_a_gradient_for_the_entropy_alone_moves_towards_uniform() -> None:
    hidden, weight, targets = tensors()
    _, before = logprobs_and_entropy(hidden, weight, targets)
    (gradient,) = torch.autograd.grad(before.sum(), hidden)
    _, after = logprobs_and_entropy(hidden + 1e-3 * gradient, weight, targets)
    assert (after > before).all()


def test_masked_tokens_change_neither_bonus_nor_gradient() -> None:
    hidden, weight, targets = tensors()
    mask = torch.tensor([True, False, True, True, False, True, False])
    _, entropy = logprobs_and_entropy(hidden, weight, targets)
    with_masked = masked_mean(entropy, mask, 4.0)
    _, alone = logprobs_and_entropy(hidden[mask], weight, targets[mask])
    torch.testing.assert_close(with_masked, alone.sum() / 4.0)
    (a,) = torch.autograd.grad(with_masked, weight, retain_graph=True)
    (b,) = torch.autograd.grad(alone.sum() / 4.0, weight)
    torch.testing.assert_close(a, b)


def test_huge_logits_stay_finite_and_exact() -> None:
    hidden = torch.tensor([[1e4], [-1e4]], requires_grad=True)
    weight = torch.tensor([[1.0], [1.0], [-1.0]])
    logprobs, entropy = logprobs_and_entropy(hidden, weight, torch.tensor([0, 2]))
    (logprobs.sum() + entropy.sum()).backward()
    assert logprobs.tolist() == pytest.approx([-math.log(2), 0.0], abs=1e-6)
    assert entropy.tolist() == pytest.approx([math.log(2), 0.0], abs=1e-6)
    assert hidden.grad is not None
    assert torch.isfinite(hidden.grad).all()


def test_nothing_of_the_size_of_all_logits_is_kept_for_the_gradient() -> None:
    """Counted by the elements of what autograd keeps: nothing of [M, V] may be among it."""
    hidden, weight, targets = tensors(rows=50)
    kept: list[int] = []

    def keep(tensor: Tensor) -> Tensor:
        kept.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        logprobs_and_entropy(hidden, weight, targets, 4)
    assert max(kept) == hidden.numel()
