"""The formulas against hand-computed values, textbook forms and invariances."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from prorl_trainer.algo import kl
from prorl_trainer.algo.advantages import reinforce_pp_baseline
from prorl_trainer.algo.dynamic_sampling import Refill, has_signal, plan_refill
from prorl_trainer.algo.masked import masked_mean, masked_sum
from prorl_trainer.algo.policy_loss import clip_higher_loss
from prorl_trainer.algo.reset import next_reset_step, reset_reason
from prorl_trainer.algo.schedule import learning_rate

REWARDS = [1.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0]
GROUPS = [0, 0, 0, 0, 1, 1, 1, 1]
LENGTHS = [2, 4, 1, 3, 5, 2, 2, 1]


def test_advantages_equal_the_hand_computed_ones():
    found = reinforce_pp_baseline(rewards=REWARDS, groups=GROUPS, weights=LENGTHS)
    expected = [0.649189, 0.649189, -1.348316, -1.348316, 1.148565] + [-0.848939] * 3
    assert found == pytest.approx(expected, abs=1e-6)


@given(shift=st.floats(-10, 10), scale=st.floats(0.1, 10))
def test_advantages_ignore_shift_and_positive_scale_of_rewards(shift, scale):
    base = reinforce_pp_baseline(rewards=REWARDS, groups=GROUPS, weights=LENGTHS)
    moved = reinforce_pp_baseline(
        rewards=[scale * r + shift for r in REWARDS], groups=GROUPS, weights=LENGTHS
    )
    assert moved == pytest.approx(base, abs=1e-6)


@given(st.permutations(range(8)))
def test_advantages_follow_a_permutation_of_the_sequences(order):
    base = reinforce_pp_baseline(rewards=REWARDS, groups=GROUPS, weights=LENGTHS)
    moved = reinforce_pp_baseline(
        rewards=[REWARDS[i] for i in order],
        groups=[GROUPS[i] for i in order],
        weights=[LENGTHS[i] for i in order],
    )
    assert moved == pytest.approx([base[i] for i in order], abs=1e-9)


def test_equal_rewards_give_zero_advantages():
    found = reinforce_pp_baseline(rewards=[0.5] * 4, groups=[0, 0, 1, 1], weights=[3] * 4)
    assert found == [0.0] * 4


def test_a_non_finite_reward_is_refused_by_name():
    with pytest.raises(ValueError, match="sequence 1 is nan"):
        reinforce_pp_baseline(rewards=[0.0, math.nan], groups=[0, 0], weights=[1, 1])


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss"),
    [(1.5, 1.0, -1.27), (1.5, -1.0, 1.5), (0.5, 1.0, -0.5), (0.5, -1.0, 0.8), (6.0, -1.0, 6.0)],
)
def test_clip_higher_equals_the_hand_computed_loss(ratio, advantage, loss):
    found = clip_higher_loss(
        torch.tensor([math.log(ratio)]), torch.zeros(1), torch.tensor([advantage]),
        low=0.2, high=0.27,
    )  # fmt: skip
    assert found.loss.item() == pytest.approx(loss, abs=1e-6)


def test_a_clipped_token_has_no_gradient():
    logprobs = torch.tensor([math.log(1.5)], requires_grad=True)
    loss = clip_higher_loss(logprobs, torch.zeros(1), torch.ones(1), low=0.2, high=0.28).loss
    loss.sum().backward()
    assert logprobs.grad is not None
    assert logprobs.grad.item() == 0.0


@pytest.mark.parametrize(
    ("delta", "k1", "k2", "k3"), [(0.5, 0.5, 0.125, 0.1065), (-0.5, -0.5, 0.125, 0.1487)]
)
def test_kl_estimators_equal_the_hand_computed_values(delta, k1, k2, k3):
    value = kl.clamped_delta(torch.tensor([delta]), torch.zeros(1), 10.0)
    found = [f(value).item() for f in (kl.k1, kl.k2, kl.k3)]
    assert found == pytest.approx([k1, k2, k3], abs=1e-4)


def test_an_overflowing_log_ratio_is_clamped_before_it_is_squared():
    delta = kl.clamped_delta(torch.tensor([1e30, -1e30]), torch.zeros(2), 10.0)
    assert kl.k2(delta).tolist() == [50.0, 50.0]
    assert torch.isfinite(kl.k3(delta)).all()


def test_k2_as_loss_has_the_gradient_of_the_reverse_kl():
    torch.manual_seed(0)
    logits, reference = torch.randn(5, dtype=torch.float64), torch.randn(5, dtype=torch.float64)
    ref = reference.log_softmax(-1)
    first = logits.clone().requires_grad_()
    lp = first.log_softmax(-1)
    (lp.exp() * (lp - ref)).sum().backward()
    second = logits.clone().requires_grad_()
    lp = second.log_softmax(-1)
    (lp.exp().detach() * 0.5 * (lp - ref).square()).sum().backward()
    assert torch.allclose(first.grad, second.grad, atol=1e-12)


def test_masked_values_never_count_even_if_they_are_nan():
    values, mask = torch.tensor([1.0, math.nan, 2.0]), torch.tensor([True, False, True])
    assert masked_sum(values, mask).item() == 3.0
    assert masked_mean(values, mask, 4).item() == 0.75


def test_a_mean_over_no_tokens_is_an_error():
    with pytest.raises(ValueError, match="num_tokens is 0"):
        masked_mean(torch.zeros(1), torch.tensor([False]), 0)


@pytest.mark.parametrize(
    ("scores", "kept"), [([0.5] * 4, False), ([1, 1], False), ([0, 1], True), ([1.0], False)]
)
def test_a_group_is_kept_when_its_scores_differ(scores, kept):
    assert has_signal(scores) is kept


@pytest.mark.parametrize(
    ("kept", "rounds", "decision"),
    [
        (8, 1, Refill.ENOUGH), (3, 1, Refill.DRAW), (4, 3, Refill.TRAIN_SMALLER),
        (3, 3, Refill.NO_SIGNAL),
    ],
)  # fmt: skip
def test_refill_decision(kept, rounds, decision):
    assert plan_refill(num_kept=kept, num_wanted=8, rounds_done=rounds, max_rounds=3) is decision


def test_the_reference_is_reset_every_n_steps_but_not_after_the_last_one():
    due = [s for s in range(0, 13) if reset_reason(step=s, total_steps=12, every_steps=4)]
    assert due == [4, 8]
    assert [next_reset_step(step=s, total_steps=12, every_steps=4) for s in (0, 4, 8)] == [
        4,
        8,
        None,
    ]
    assert reset_reason(step=4, total_steps=12, every_steps=0) is None


def test_the_learning_rate_warms_up_and_stays():
    rates = [learning_rate(step=s, peak=1.0, warmup_steps=3) for s in range(5)]
    assert rates == [0.25, 0.5, 0.75, 1.0, 1.0]
