"""Policy loss, KL and masked reduction against the textbook, by hand and by gradient."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from prorl_trainer.algo.kl import clamped_delta, k1, k2, k3
from prorl_trainer.algo.masked import masked_mean, masked_sum
from prorl_trainer.algo.policy_loss import clip_higher_loss, dual_clip

torch.set_num_threads(1)


def loss_at(ratio: float, advantage: float) -> tuple[float, bool, bool]:
    out = clip_higher_loss(
        torch.tensor([math.log(ratio)]),
        torch.zeros(1),
        torch.tensor([advantage]),
        low=0.2,
        high=0.27,
    )
    return float(out.loss), bool(out.clipped_low), bool(out.clipped_high)


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "low", "high"),
    [
        pytest.param(1.5, 1.0, -1.27, False, True, id="good-token-clipped-above"),
        pytest.param(1.5, -1.0, 1.5, False, False, id="bad-token-not-clipped-above"),
        pytest.param(0.5, 1.0, -0.5, False, False, id="good-token-not-clipped-below"),
        pytest.param(0.5, -1.0, 0.8, True, False, id="bad-token-clipped-below"),
        pytest.param(6.0, -1.0, 6.0, False, False, id="no-dual-clip"),
        pytest.param(1.0, 2.0, -2.0, False, False, id="on-policy"),
    ],
)
def test_clip_higher_as_computed_by_hand(
    ratio: float, advantage: float, loss: float, low: bool, high: bool
) -> None:
    value, clipped_low, clipped_high = loss_at(ratio, advantage)
    assert value == pytest.approx(loss, abs=1e-6)
    assert (clipped_low, clipped_high) == (low, high)


@given(st.floats(-3, 3), st.floats(-2, 2).filter(lambda a: abs(a) > 1e-3))
def test_clip_higher_equals_the_textbook_form(log_ratio: float, advantage: float) -> None:
    ratio = math.exp(log_ratio)
    clipped = min(max(ratio, 0.8), 1.27)
    expected = -min(ratio * advantage, clipped * advantage)
    assert loss_at(ratio, advantage)[0] == pytest.approx(expected, rel=1e-4, abs=1e-6)


@given(st.floats(-3, 3), st.floats(-2, 2).filter(lambda a: abs(a) > 1e-3))
def test_dual_clip_equals_the_textbook_form(log_ratio: float, advantage: float) -> None:
    plain = loss_at(math.exp(log_ratio), advantage)[0]
    loss, over = dual_clip(torch.tensor([plain]), torch.tensor([advantage]), 3.0)
    expected = min(plain, -3.0 * advantage) if advantage < 0 else plain
    assert float(loss) == pytest.approx(expected, rel=1e-4, abs=1e-6)
    assert bool(over) == (float(loss) < plain)


def test_dual_clip_as_computed_by_hand_and_without_gradient_where_it_acts() -> None:
    logprobs = torch.log(torch.tensor([6.0, 2.0, 6.0])).requires_grad_()
    advantages = torch.tensor([-1.0, -1.0, 1.0])
    out = clip_higher_loss(logprobs, torch.zeros(3), advantages, low=0.2, high=0.27)
    loss, over = dual_clip(out.loss, advantages, 3.0)
    loss.sum().backward()
    assert loss.tolist() == pytest.approx([3.0, 2.0, -1.27])
    assert over.tolist() == [True, False, False]
    assert logprobs.grad is not None
    assert logprobs.grad.tolist() == pytest.approx([0.0, 2.0, 0.0])


@given(st.lists(st.floats(-2, 2), min_size=1, max_size=8))
def test_no_dual_clip_is_an_infinite_limit(values: list[float]) -> None:
    advantages = torch.tensor(values)
    loss, over = dual_clip(advantages.abs(), advantages, math.inf)
    assert torch.equal(loss, advantages.abs())
    assert not over.any()


def test_gradient_is_zero_exactly_where_a_clip_is_active() -> None:
    logprobs = torch.log(torch.tensor([1.5, 1.5, 0.5, 0.5])).requires_grad_()
    advantages = torch.tensor([1.0, -1.0, 1.0, -1.0])
    out = clip_higher_loss(logprobs, torch.zeros(4), advantages, low=0.2, high=0.27)
    out.loss.sum().backward()
    assert logprobs.grad is not None
    active = out.clipped_low | out.clipped_high
    assert torch.equal(logprobs.grad == 0, active)
    assert active.tolist() == [True, False, False, True]


def test_an_absurd_ratio_stays_finite() -> None:
    logprobs = torch.tensor([500.0, -500.0], requires_grad=True)
    out = clip_higher_loss(logprobs, torch.zeros(2), torch.tensor([-1.0, 1.0]), low=0.2, high=0.28)
    out.loss.sum().backward()
    assert torch.isfinite(out.loss).all()
    assert logprobs.grad is not None
    assert torch.isfinite(logprobs.grad).all()


@pytest.mark.parametrize(
    ("delta", "values"),
    [
        pytest.param(0.5, (0.5, 0.125, 0.106531), id="half"),
        pytest.param(-0.5, (-0.5, 0.125, 0.148721), id="minus-half"),
        pytest.param(5.0, (5.0, 12.5, 4.006738), id="five"),
        pytest.param(-5.0, (-5.0, 12.5, 142.413159), id="minus-five"),
        pytest.param(0.0, (0.0, 0.0, 0.0), id="zero"),
    ],
)
def test_kl_estimators_as_computed_by_hand(
    delta: float, values: tuple[float, float, float]
) -> None:
    d = torch.tensor(delta)
    assert [float(k(d)) for k in (k1, k2, k3)] == pytest.approx(values, abs=1e-4)


def test_delta_is_clamped_before_it_is_squared_or_exponentiated() -> None:
    lp = torch.tensor([0.0, -1e4, 1e4], requires_grad=True)
    delta = clamped_delta(lp, torch.zeros(3), 10.0)
    assert delta.tolist() == [0.0, -10.0, 10.0]
    (k2(delta) + k3(delta)).sum().backward()
    assert lp.grad is not None
    assert torch.isfinite(lp.grad).all()
    assert k2(delta).max() == 50.0


def test_delta_is_fp32_for_bf16_log_probs() -> None:
    ones = torch.ones(2, dtype=torch.bfloat16)
    assert clamped_delta(ones, ones, 10.0).dtype == torch.float32


def kl_loss_gradient(estimator: object, logits: torch.Tensor, ref: torch.Tensor) -> torch.Tensor:
    """Expected gradient of the estimator as a loss: sum over actions of the frozen policy."""
    x = logits.clone().requires_grad_()
    lp = torch.log_softmax(x, -1)
    values = estimator(lp - torch.log_softmax(ref, -1))  # type: ignore[operator]
    (lp.detach().exp() * values).sum().backward()
    assert x.grad is not None
    return x.grad


def exact_gradient(logits: torch.Tensor, ref: torch.Tensor, *, forward: bool) -> torch.Tensor:
    x = logits.clone().requires_grad_()
    lp, lr = torch.log_softmax(x, -1), torch.log_softmax(ref, -1)
    ((lr.exp() * (lr - lp)) if forward else (lp.exp() * (lp - lr))).sum().backward()
    assert x.grad is not None
    return x.grad


def test_k2_as_a_loss_follows_the_reverse_kl_and_k3_the_forward_one() -> None:
    generator = torch.Generator().manual_seed(0)
    logits, ref = torch.randn(2, 5, generator=generator, dtype=torch.float64)
    reverse = exact_gradient(logits, ref, forward=False)
    forward = exact_gradient(logits, ref, forward=True)
    torch.testing.assert_close(kl_loss_gradient(k2, logits, ref), reverse)
    torch.testing.assert_close(kl_loss_gradient(k3, logits, ref), forward)
    torch.testing.assert_close(kl_loss_gradient(k1, logits, ref), torch.zeros_like(ref))


def test_masked_tokens_do_not_count_whatever_they_are() -> None:
    values = torch.tensor([1.0, math.nan, 3.0, math.inf])
    mask = torch.tensor([True, False, True, False])
    assert float(masked_sum(values, mask)) == 4.0
    assert float(masked_mean(values, mask, 8.0)) == 0.5


@given(st.lists(st.tuples(st.floats(-5, 5), st.booleans()), min_size=1, max_size=30))
def test_parts_over_the_global_count_add_up_to_the_whole(rows: list[tuple[float, bool]]) -> None:
    values = torch.tensor([v for v, _ in rows], dtype=torch.float64)
    mask = torch.tensor([m for _, m in rows])
    whole = masked_mean(values, mask, 7.0)
    half = len(rows) // 2
    parts = masked_mean(values[:half], mask[:half], 7.0) + masked_mean(
        values[half:], mask[half:], 7.0
    )
    padded = masked_mean(
        torch.cat([values, torch.full((3,), math.nan)]),
        torch.cat([mask, torch.zeros(3, dtype=torch.bool)]),
        7.0,
    )
    torch.testing.assert_close(parts, whole)
    torch.testing.assert_close(padded, whole)


def test_an_empty_mini_batch_is_refused() -> None:
    with pytest.raises(ValueError, match="num_tokens is 0"):
        masked_mean(torch.zeros(1), torch.zeros(1, dtype=torch.bool), 0)
