"""The head with the loss inside it, in chunks: the textbook's values and gradients."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from prorl_trainer.algo.head import loss_of_tokens, predict
from prorl_trainer.algo.masked import masked_mean
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

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


def weighted(
    hidden: Tensor, weight: Tensor, targets: Tensor, factors: Tensor, rows: int = 256
) -> Tensor:
    """The sum of factors[0] · log-prob + factors[1] · entropy over all tokens."""

    def token_loss(part: slice, logprobs: Tensor, entropy: Tensor | None) -> Tensor:
        assert entropy is not None
        return (factors[0, part] * logprobs + factors[1, part] * entropy).sum()

    return loss_of_tokens(hidden, weight, targets, token_loss, with_entropy=True, rows=rows)[0]


def test_a_uniform_and_a_certain_distribution() -> None:
    hidden, targets = torch.tensor([[0.0], [1.0]]), torch.tensor([2, 0])
    weight = torch.tensor([[100.0], [0.0], [0.0], [0.0]])
    logprobs, entropy = predict(hidden, weight, targets, with_entropy=True)
    assert entropy is not None
    assert logprobs.tolist() == pytest.approx([-math.log(4), 0.0], abs=1e-6)
    assert entropy.tolist() == pytest.approx([math.log(4), 0.0], abs=1e-6)


CHUNKINGS = given(
    st.integers(1, 9), st.integers(1, 10), st.integers(0, 99), st.sampled_from([0.1, 1.0, 20.0])
)


@settings(deadline=None, max_examples=50)
@CHUNKINGS
def test_any_chunking_gives_the_textbooks_values_and_gradients(
    size: int, rows: int, seed: int, scale: float
) -> None:
    hidden, weight, targets = tensors(size, seed, scale)
    factors = torch.randn(2, size, generator=torch.Generator().manual_seed(seed)).double()
    loss = weighted(hidden, weight, targets, factors, rows)
    expected = (factors * torch.stack(textbook(hidden, weight, targets))).sum()
    torch.testing.assert_close(loss, expected, atol=1e-10, rtol=1e-8)
    torch.testing.assert_close(
        torch.autograd.grad(3.0 * loss, (hidden, weight)),
        torch.autograd.grad(3.0 * expected, (hidden, weight)),
        atol=1e-10, rtol=1e-8,
    )  # fmt: skip


@settings(deadline=None, max_examples=50)
@CHUNKINGS
def test_a_loss_without_entropies_has_the_textbooks_gradients_too(
    size: int, rows: int, seed: int, scale: float
) -> None:
    hidden, weight, targets = tensors(size, seed, scale)
    factors = torch.randn(size, generator=torch.Generator().manual_seed(seed)).double()

    def token_loss(part: slice, logprobs: Tensor, entropy: Tensor | None) -> Tensor:
        assert entropy is None
        return (factors[part] * logprobs.exp()).sum()  # not linear, as a ratio is not

    loss, logprobs, _ = loss_of_tokens(hidden, weight, targets, token_loss, rows=rows)
    expected = (factors * textbook(hidden, weight, targets)[0].exp()).sum()
    torch.testing.assert_close(
        torch.autograd.grad(loss, (hidden, weight)),
        torch.autograd.grad(expected, (hidden, weight)),
        atol=1e-10, rtol=1e-8,
    )  # fmt: skip
    assert not logprobs.requires_grad


@pytest.mark.parametrize("with_entropy", [False, True])
def test_training_sees_the_bits_that_scoring_saw(with_entropy: bool) -> None:
    """Else the first ratio of a step would not be 1, nor the KL after a reset 0."""
    hidden, weight, targets = (t.detach().float() if t.is_floating_point() else t
                               for t in tensors(rows=50))  # fmt: skip
    hidden.requires_grad_()
    scored = predict(hidden, weight, targets, with_entropy=with_entropy, rows=16)
    _, *trained = loss_of_tokens(
        hidden, weight, targets, lambda _, logprobs, __: logprobs.sum(),
        with_entropy=with_entropy, rows=16,
    )  # fmt: skip
    assert torch.equal(scored[0], trained[0])
    assert (scored[1] is None) is (trained[1] is None) is (not with_entropy)
    assert scored[1] is None or torch.equal(scored[1], trained[1])


def test_a_gradient_for_the_entropy_alone_moves_towards_uniform() -> None:
    hidden, weight, targets = tensors()
    factors = torch.tensor([[0.0] * 7, [1.0] * 7]).double()
    before = weighted(hidden, weight, targets, factors)
    (gradient,) = torch.autograd.grad(before, hidden)
    moved = predict(hidden + 1e-3 * gradient, weight, targets, with_entropy=True)[1]
    old = predict(hidden, weight, targets, with_entropy=True)[1]
    assert moved is not None
    assert old is not None
    assert (moved > old).all()


def test_masked_tokens_change_neither_loss_nor_gradient() -> None:
    hidden, weight, targets = tensors()
    mask = torch.tensor([True, False, True, True, False, True, False])

    def masked(part: slice, logprobs: Tensor, entropy: Tensor | None) -> Tensor:
        assert entropy is not None
        return masked_mean(logprobs + entropy, mask[part], 4.0)

    loss, *_ = loss_of_tokens(hidden, weight, targets, masked, with_entropy=True, rows=3)
    factors = torch.full((2, 4), 0.25).double()
    alone = weighted(hidden[mask], weight, targets[mask], factors)
    torch.testing.assert_close(loss, alone)
    (a,), (b,) = torch.autograd.grad(loss, weight), torch.autograd.grad(alone, weight)
    torch.testing.assert_close(a, b)


def test_huge_logits_stay_finite_and_exact() -> None:
    hidden = torch.tensor([[1e4], [-1e4]], requires_grad=True)
    weight = torch.tensor([[1.0], [1.0], [-1.0]])
    targets = torch.tensor([0, 2])
    logprobs, entropy = predict(hidden, weight, targets, with_entropy=True)
    assert entropy is not None
    assert logprobs.tolist() == pytest.approx([-math.log(2), 0.0], abs=1e-6)
    assert entropy.tolist() == pytest.approx([math.log(2), 0.0], abs=1e-6)
    weighted(hidden, weight, targets, torch.ones(2, 2)).backward()
    assert hidden.grad is not None
    assert torch.isfinite(hidden.grad).all()


def test_a_loss_that_is_not_finite_is_not_hidden() -> None:
    hidden, weight, targets = tensors()
    factors = torch.full((2, 7), math.nan).double()
    loss = weighted(hidden, weight, targets, factors)
    assert math.isnan(loss.item())
    assert torch.isnan(torch.autograd.grad(loss, weight)[0]).any()


def test_a_second_backward_pass_is_refused_not_wrong() -> None:
    hidden, weight, targets = tensors()
    loss = weighted(hidden, weight, targets, torch.ones(2, 7).double())
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="used up by a first backward pass"):
        loss.backward()


def test_nothing_of_the_size_of_all_logits_is_ever_made() -> None:
    """Seen by the results of all operations: nothing of [M, V] may be among them."""
    hidden, weight, targets = tensors(rows=50)
    sizes: list[int] = []

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            result = func(*args, **(kwargs or {}))
            sizes.extend(t.numel() for t in tree_leaves(result) if isinstance(t, Tensor))
            return result

    with Watch():
        weighted(hidden, weight, targets, torch.ones(2, 50).double(), rows=4).backward()
    assert max(sizes) == hidden.numel()
