"""The recipe's test vectors in one place: each number is worked out here, by NumPy in float64 or by
hand, apart from the implementation. Their use and their invariances are in test_algo_*.py.
"""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from prorl_api.spec_algorithm import AdvantageSpec, Estimator, Normalisation
from prorl_trainer.algo.kl import clamped_delta, k1, k2, k3
from prorl_trainer.algo.length_penalty import cosine_active, cosine_eta, overlong_penalty
from prorl_trainer.algo.mismatch import icepop, sequence_mask, truncated
from prorl_trainer.algo.policy_loss import clip_higher_loss, dual_clip
from prorl_trainer.batch import estimate
from torch import Tensor

Array = NDArray[np.float64]
R = np.array([[1, 1, 0, 0], [1, 0, 0, 0]], dtype=np.float64)
LENGTHS = np.array([[2, 4, 1, 3], [5, 2, 2, 1]])


def ours(
    estimator: Estimator, normalisation: Normalisation = Normalisation.TOKEN, rewards: Array = R
) -> Array:
    found = estimate(
        AdvantageSpec(estimator=estimator, normalisation=normalisation),
        rewards=rewards.ravel().tolist(), groups=[0] * 4 + [1] * 4,
        num_tokens=LENGTHS.ravel().tolist(),
    )  # fmt: skip
    return np.array(found).reshape(2, 4)


def centred(rewards: Array = R) -> Array:
    return rewards - rewards.mean(axis=1, keepdims=True)


def token_normalised(values: Array, *, ddof: int) -> Array:
    """Every token written out, as [B, T] trainers do."""
    tokens = np.repeat(values.ravel(), LENGTHS.ravel())
    return (values - tokens.mean()) / tokens.std(ddof=ddof)


def test_vector_of_the_baseline_normalised_over_tokens() -> None:
    """20 tokens: mean 0.175, variance 0.250625."""
    tokens = np.repeat(centred().ravel(), LENGTHS.ravel())
    assert (tokens.mean(), tokens.var()) == pytest.approx((0.175, 0.250625))
    expected = token_normalised(centred(), ddof=0)
    assert expected[:, 0] == pytest.approx([0.649189, 1.148565], abs=1e-6)
    assert expected[:, 3] == pytest.approx([-1.348316, -0.848939], abs=1e-6)
    np.testing.assert_allclose(ours(Estimator.REINFORCE_PP_BASELINE), expected, rtol=1e-12)


def test_vector_of_verl_is_ours_times_the_root_of_nineteen_twentieths() -> None:
    """Bessel's correction over 20 tokens, which we do not offer for the batch."""
    expected = token_normalised(centred(), ddof=1)
    assert expected[:, 0] == pytest.approx([0.632751, 1.119483], abs=1e-6)
    assert expected[:, 3] == pytest.approx([-1.314176, -0.827444], abs=1e-6)
    found = ours(Estimator.REINFORCE_PP_BASELINE) * math.sqrt(19 / 20)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_vector_of_the_baseline_normalised_over_sequences() -> None:
    expected = (centred() - centred().mean()) / centred().std()
    assert expected[:, 0] == pytest.approx([1.069045, 1.603567], abs=1e-6)
    assert expected[:, 3] == pytest.approx([-1.069045, -0.534522], abs=1e-6)
    found = ours(Estimator.REINFORCE_PP_BASELINE, Normalisation.SEQUENCE)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_vectors_of_the_other_estimators() -> None:
    others = (R.sum(axis=1, keepdims=True) - R) / 3
    grpo = centred() / R.std(axis=1, ddof=1, keepdims=True)
    np.testing.assert_allclose(ours(Estimator.GRPO), grpo, rtol=1e-12)
    np.testing.assert_allclose(ours(Estimator.RLOO), R - others, atol=1e-15)
    np.testing.assert_allclose(ours(Estimator.DR_GRPO), centred(), atol=1e-15)
    plain = token_normalised(R, ddof=0)
    np.testing.assert_allclose(ours(Estimator.REINFORCE_PP), plain, rtol=1e-12)


@pytest.mark.parametrize("recoded", [R + 3.0, 2 * R - 1], ids=["shift", "plus-minus-one"])
def test_vector_does_not_change_with_the_coding_of_the_rewards(recoded: Array) -> None:
    for normalisation in Normalisation:
        found = ours(Estimator.REINFORCE_PP_BASELINE, normalisation, recoded)
        expected = ours(Estimator.REINFORCE_PP_BASELINE, normalisation)
        np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("estimator", Estimator)
def test_vector_of_no_variance_is_zero(estimator: Estimator) -> None:
    assert (ours(estimator, rewards=np.full((2, 4), 0.5)) == 0).all()


@pytest.mark.parametrize(
    ("ratio", "advantage", "expected", "dual"),
    [(1.5, 1, -1.27, -1.27), (1.5, -1, 1.5, 1.5), (0.5, 1, -0.5, -0.5), (0.5, -1, 0.8, 0.8),
     (6.0, -1, 6.0, 3.0)],
)  # fmt: skip
def test_vector_of_the_clip(ratio: float, advantage: float, expected: float, dual: float) -> None:
    by_numpy = -min(ratio * advantage, float(np.clip(ratio, 0.8, 1.27)) * advantage)
    assert by_numpy == pytest.approx(expected)
    a, zero = torch.tensor([float(advantage)]), torch.zeros(1)
    found = clip_higher_loss(torch.tensor([math.log(ratio)]), zero, a, low=0.2, high=0.27).loss
    assert found.item() == pytest.approx(expected, rel=1e-6)
    assert dual_clip(found, a, 3.0)[0].item() == pytest.approx(dual, rel=1e-6)


@pytest.mark.parametrize(
    ("delta", "expected"),
    [(0.5, (0.5, 0.125, 0.1065)), (-0.5, (-0.5, 0.125, 0.1487)), (5.0, (5.0, 12.5, 4.0067)),
     (-5.0, (-5.0, 12.5, 142.4132))],
)  # fmt: skip
def test_vector_of_the_kl_estimators(delta: float, expected: tuple[float, ...]) -> None:
    """OpenRLHF and NeMo-RL give k2 = 10 at 5: they clamp the result, we the log-ratio."""
    assert (delta, delta**2 / 2, np.exp(-delta) - 1 + delta) == pytest.approx(expected, abs=1e-4)
    value = clamped_delta(torch.tensor(delta), torch.zeros(()), 10.0)
    assert [float(k(value)) for k in (k1, k2, k3)] == pytest.approx(expected, abs=1e-4)


LOGITS, REFERENCE = np.array([0.3, -1.1, 0.7, 1.9, -0.4]), np.array([-0.6, 0.2, 1.3, 0.5, 0.1])


def softmax(x: Array) -> Array:
    return np.exp(x) / np.exp(x).sum()


def analytic_gradients() -> dict[str, Array]:
    """With p, q the policies, d = log p - log q and the score d log p_a / dx_i = 1[a = i] - p_i:
    reverse KL  grad = p_i (d_i - sum p d);  forward KL  grad = p_i - q_i.
    An estimator f(d) as a loss, on-policy: sum_a p_a f'(d_a) (1[a = i] - p_i)."""
    p, q = softmax(LOGITS), softmax(REFERENCE)
    d = np.log(p / q)
    return {"reverse": p * (d - (p * d).sum()), "forward": p - q}


def as_loss(estimator: Callable[[Tensor], Tensor], *, weighed: bool = False) -> Array:
    """Expected gradient of the estimator on five actions drawn from the policy; `weighed` by a
    ratio of value 1 whose gradient counts, as NeMo-RL and TRL's default do."""
    x = torch.tensor(LOGITS, requires_grad=True)
    lp = x.log_softmax(-1)
    values = estimator(lp - torch.tensor(REFERENCE).log_softmax(-1))
    ratio = (lp - lp.detach()).exp() if weighed else 1.0
    (lp.detach().exp() * ratio * values).sum().backward()
    assert x.grad is not None
    return x.grad.numpy()


def test_vector_of_the_kl_gradients() -> None:
    exact = analytic_gradients()
    np.testing.assert_allclose(as_loss(k2), exact["reverse"], atol=1e-15)
    np.testing.assert_allclose(as_loss(k3), exact["forward"], atol=1e-15)
    np.testing.assert_allclose(as_loss(k1), np.zeros(5), atol=1e-15)


def test_vector_of_a_weighed_estimator_is_right_for_k3_and_k1_and_wrong_for_k2() -> None:
    exact = analytic_gradients()
    np.testing.assert_allclose(as_loss(k3, weighed=True), exact["reverse"], atol=1e-15)
    np.testing.assert_allclose(as_loss(k1, weighed=True), exact["reverse"], atol=1e-15)
    for gradient in exact.values():
        assert np.abs(as_loss(k2, weighed=True) - gradient).max() > 0.05


def test_the_analytic_gradients_are_those_of_finite_differences() -> None:
    def kl(x: Array, *, forward: bool) -> float:
        p, q = softmax(x), softmax(REFERENCE)
        return float((q * np.log(q / p)).sum() if forward else (p * np.log(p / q)).sum())

    steps = np.eye(5) * 1e-6
    for name, gradient in analytic_gradients().items():
        forward = name == "forward"
        found = [(kl(LOGITS + h, forward=forward) - kl(LOGITS - h, forward=forward)) / 2e-6
                 for h in steps]  # fmt: skip
        np.testing.assert_allclose(found, gradient, atol=1e-9)


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [(0, 0.0), (2048, -0.146447), (4096, -0.5), (6144, -0.853553), (8192, -1.0)],
)
def test_vector_of_the_cosine(tokens: int, expected: float) -> None:
    """-1 + (1 + cos(pi t / T)) / 2: at a quarter -1 + (1 + sqrt(1/2)) / 2 = -0.146447."""
    assert -1 + (1 + np.cos(np.pi * tokens / 8192)) / 2 == pytest.approx(expected, abs=1e-6)
    found = cosine_eta(num_tokens=tokens, max_tokens=8192, eta_min=-1.0, eta_max=0.0)
    assert found == pytest.approx(expected, abs=1e-6)


def test_vector_of_the_cosine_schedule() -> None:
    steps = np.arange(1200)
    on = [cosine_active(step=int(s), on_steps=100, off_steps=500, offset=0) for s in steps]
    expected = np.zeros(1200, dtype=bool)
    expected[:100] = expected[600:700] = True
    assert on == expected.tolist()


@pytest.mark.parametrize(("tokens", "expected"), [(16384, 0.0), (18432, -0.5), (20480, -1.0)])
def test_vector_of_the_overlong_penalty(tokens: int, expected: float) -> None:
    found = overlong_penalty(num_tokens=tokens, max_tokens=20480, buffer_tokens=4096, factor=1.0)
    assert found == np.interp(tokens, [16384, 20480], [0, -1]) == expected


def test_vectors_of_the_mismatch_corrections() -> None:
    """A bound itself is inside."""
    rho = np.array([0.3, 0.5, 4.9, 7.0])
    log_ratio = torch.tensor(np.log(rho), dtype=torch.float32)
    weights = icepop(log_ratio, low=0.5, high=5.0).weights
    assert weights.tolist() == pytest.approx([0.0, 0.5, 4.9, 0.0], rel=1e-6)
    weights = truncated(log_ratio, low=0.0, high=2.0).weights
    assert weights.tolist() == pytest.approx(np.minimum(rho, 2.0).tolist(), rel=1e-6)


def test_vector_of_the_sequence_mask() -> None:
    """Geometric means: (0.3 · 7)^(1/2) = 1.449, (0.5 · 4.9)^(1/2) = 1.565."""
    rho = np.array([0.3, 7.0, 0.5, 4.9])
    found = sequence_mask(
        torch.tensor(np.log(rho), dtype=torch.float32), torch.ones(4, dtype=torch.bool),
        torch.tensor([0, 0, 1, 1]), low=1.0, high=1.5,
    )  # fmt: skip
    assert found.weights.tolist() == pytest.approx([0.3, 7.0, 0.0, 0.0], rel=1e-6)
