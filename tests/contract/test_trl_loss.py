"""Loss and gradient against TRL's on the same log-probs, padded [B, T] there and packed [T] here.

Where TRL's definition is another one by design, the test states the difference as an equation.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from learner_builders import build_model_dir
from prorl_trainer.algo.kl import clamped_delta, k3
from prorl_trainer.algo.masked import masked_mean
from prorl_trainer.algo.policy_loss import clip_higher_loss, dual_clip
from torch import Tensor
from trl_reference import ScriptedTrainer, build_trainer

B, SAMPLES, LONGEST = 12, 4, 9
LOW, HIGH = 0.2, 0.28
Build = Callable[..., ScriptedTrainer]


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Trainers of one random model."""
    directory = build_model_dir(tmp_path_factory.mktemp("model"))

    def trainer(**config: Any) -> ScriptedTrainer:
        values = {
            "epsilon": LOW,
            "epsilon_high": HIGH,
            "loss_type": "dapo",
            "use_bias_correction_kl": False,
        }
        return build_trainer(directory, samples=SAMPLES, batch=B, **(values | config))

    return trainer


@dataclass(frozen=True, kw_only=True, slots=True)
class Tokens:
    """Log-probs [B, T] with padding, far enough apart that every clip is met on both sides."""

    logprobs: Tensor
    old: Tensor
    reference: Tensor
    mask: Tensor
    """Bool."""
    advantages: Tensor
    """[B]."""

    def per_token(self, values: Tensor) -> Tensor:
        """[B] for every token of [B, T]."""
        return values[:, None].expand_as(self.mask)

    def trl_inputs(self) -> dict[str, Tensor]:
        padded = torch.zeros_like(self.mask, dtype=torch.int64)
        return {
            "prompt_ids": padded[:, :2], "prompt_mask": padded[:, :2] + 1,
            "completion_ids": padded, "completion_mask": self.mask.long(),
            "advantages": self.advantages, "old_per_token_logps": self.old,
            "ref_per_token_logps": self.reference, "num_items_in_batch": self.mask.sum(),
        }  # fmt: skip


def make_tokens() -> Tokens:
    generator = torch.Generator().manual_seed(3)
    old = -4 * torch.rand(B, LONGEST, generator=generator)
    lengths = torch.randint(1, LONGEST + 1, (B,), generator=generator)
    noise = torch.randn(2, B, LONGEST, generator=generator)
    return Tokens(
        logprobs=(old + noise[0]).requires_grad_(),
        old=old,
        reference=old + 0.5 * noise[1],
        mask=torch.arange(LONGEST)[None] < lengths[:, None],
        advantages=torch.randn(B, generator=generator),
    )


def trl_result(
    trainer: ScriptedTrainer, t: Tokens, weights: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """TRL's loss and its gradient [B, T]."""
    inputs = t.trl_inputs()
    if weights is not None:
        trainer.use_vllm = True
        inputs["importance_sampling_ratio"] = weights
    trainer.logprobs = t.logprobs
    return differentiate(trainer.loss(inputs), t)


def our_per_token(
    t: Tokens, *, dual: float = float("inf"), beta: float = 0.0, weights: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The loss of every packed token, with a mask that keeps all: padding is not there."""
    columns = (t.logprobs, t.old, t.reference, t.per_token(t.advantages))
    logprobs, old, reference, advantages = (x[t.mask] for x in columns)
    surrogate = clip_higher_loss(logprobs, old, advantages, low=LOW, high=HIGH)
    loss, _ = dual_clip(surrogate.loss, advantages, dual)
    if weights is not None:
        loss = loss * weights[t.mask]
    return loss + beta * k3(clamped_delta(logprobs, reference, 10.0)), torch.ones_like(
        old, dtype=torch.bool
    )


def our_result(t: Tokens, **terms: Any) -> tuple[Tensor, Tensor]:
    loss, mask = our_per_token(t, **terms)
    return differentiate(masked_mean(loss, mask, float(t.mask.sum())), t)


def differentiate(loss: Tensor, t: Tokens) -> tuple[Tensor, Tensor]:
    return loss.detach(), torch.autograd.grad(loss, t.logprobs)[0]


def assert_equal(found: tuple[Tensor, Tensor], expected: tuple[Tensor, Tensor]) -> None:
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5)
    assert expected[1].abs().max() > 1e-4, "nothing was compared"


def test_the_tokens_meet_every_clip() -> None:
    t = make_tokens()
    ratio = (t.logprobs - t.old).exp()[t.mask]
    positive = t.per_token(t.advantages > 0)[t.mask]
    for side in (positive, ~positive):
        assert (ratio[side] > 3).any()
        assert (ratio[side] < 1 - LOW).any()
        assert ((ratio[side] > 1 - LOW) & (ratio[side] < 1 + HIGH)).any()


def test_the_asymmetric_clip_with_token_mean_is_trl_dapo(build: Build) -> None:
    t = make_tokens()
    assert_equal(our_result(t), trl_result(build(), t))


@pytest.mark.parametrize("limit", [1.5, 3.0])
def test_the_dual_clip_is_trl_delta_where_it_lies_above_the_clip(
    build: Build, limit: float
) -> None:
    """TRL: -min(min(r, delta)·A, clip(r)·A). For A < 0 that is |A|·max(min(r, delta), clip(r)), and
    clip(r) <= 1 + high <= delta; for A > 0 the delta never binds."""
    t = make_tokens()
    assert_equal(our_result(t, dual=limit), trl_result(build(delta=limit), t))


def test_a_limit_below_the_upper_clip_is_ours_alone(build: Build) -> None:
    """With delta = 1.1 < 1 + high, TRL's delta also cuts the reward of good tokens to delta, which
    the clip lets grow to 1 + high, and lets bad ones cost clip(r) = 1 + high where we stop at
    delta: trl - ours = |A| · ((1 + high) - delta) for every bad and every good token whose ratio
    is above 1 + high, and |A| · (r - delta) for those between."""
    t = make_tokens()
    limit = 1.1
    ratio = (t.logprobs - t.old).exp().detach()
    excess = ratio.clamp(limit, 1 + HIGH) - limit
    expected = masked_mean(t.advantages.abs()[:, None] * excess, t.mask, float(t.mask.sum()))
    found = trl_result(build(delta=limit), t)[0] - our_result(t, dual=limit)[0]
    assert float(expected) > 1e-3
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("beta", [1e-4, 0.05, 1.0])
def test_k3_as_a_loss_is_trl_beta(build: Build, beta: float) -> None:
    t = make_tokens()
    assert_equal(our_result(t, beta=beta), trl_result(build(beta=beta), t))


def test_trl_may_weigh_the_kl_by_the_ratio_which_is_the_loss_plus_a_term(build: Build) -> None:
    """Its default: r · k3 with the gradient of both factors. Ours is k3 alone, so
    trl - ours = beta · mean((r - 1) · k3)."""
    t = make_tokens()
    ratio, delta = (t.logprobs - t.old).exp(), t.logprobs - t.reference
    extra = masked_mean((ratio - 1.0) * k3(delta), t.mask, float(t.mask.sum()))
    pairs = zip(our_result(t, beta=0.05), differentiate(extra, t), strict=True)
    value, gradient = (a + 0.05 * b for a, b in pairs)
    assert float(extra.detach().abs()) > 0.01
    weighed = trl_result(build(beta=0.05, use_bias_correction_kl=True), t)
    assert_equal((value, gradient), weighed)


def test_trl_does_not_clamp_the_log_ratio_to_the_reference_and_overflows(build: Build) -> None:
    """Ours is finite beyond the clamp, where the KL has no gradient."""
    t = make_tokens()
    far = Tokens(
        logprobs=t.logprobs, old=t.old, reference=t.logprobs.detach() + 100.0, mask=t.mask,
        advantages=t.advantages,
    )  # fmt: skip
    assert not trl_result(build(beta=0.1), far)[0].isfinite()
    loss, gradient = our_result(far, beta=0.1)
    assert loss.isfinite()
    torch.testing.assert_close(gradient, our_result(t)[1])


def test_token_weights_multiply_the_policy_loss_and_not_the_kl(build: Build) -> None:
    t = make_tokens()
    weights = torch.rand(B, LONGEST, generator=torch.Generator().manual_seed(1)) * 2
    assert_equal(our_result(t, beta=0.1, weights=weights), trl_result(build(beta=0.1), t, weights))


def test_dr_grpo_divides_by_a_constant_where_we_count_tokens(build: Build) -> None:
    """trl · B · max_completion_length = ours · tokens, for value and gradient."""
    t = make_tokens()
    factor = float(t.mask.sum()) / (B * 64)
    found = trl_result(build(loss_type="dr_grpo", max_completion_length=64), t)
    assert_equal(tuple(x * factor for x in our_result(t)), found)  # type: ignore[arg-type]


def test_trl_grpo_is_the_mean_over_sequences_of_our_loss_of_each_alone(build: Build) -> None:
    t = make_tokens()
    loss, _ = our_per_token(t)
    parts = loss.split(t.mask.sum(1).tolist())
    ones = [torch.ones_like(p, dtype=torch.bool) for p in parts]
    alone = [masked_mean(p, m, len(p)) for p, m in zip(parts, ones, strict=True)]
    expected = differentiate(torch.stack(alone).mean(), t)
    assert_equal(expected, trl_result(build(loss_type="grpo"), t))


def test_microbatches_over_the_global_count_add_up_in_both(build: Build) -> None:
    """TRL's dapo takes the count of the whole batch from outside, as we do."""
    t = make_tokens()
    trainer = build()
    trainer.logprobs = t.logprobs
    whole = trl_result(trainer, t)
    total = torch.zeros(())
    for rows in (slice(0, 5), slice(5, B)):
        trainer.logprobs = t.logprobs[rows]
        inputs = {k: v[rows] for k, v in t.trl_inputs().items() if v.dim()}
        total = total + trainer.loss(inputs | {"num_items_in_batch": t.mask.sum()})
    assert_equal(differentiate(total, t), whole)
    assert_equal(our_result(t), whole)


def test_clip_fractions_are_those_that_trl_logs(build: Build) -> None:
    t = make_tokens()
    trainer = build()
    trl_result(trainer, t)
    logged = trainer._metrics["eval"]
    columns = (t.logprobs, t.old, t.per_token(t.advantages))
    found = clip_higher_loss(*(x[t.mask] for x in columns), low=LOW, high=HIGH)
    assert logged["clip_ratio/low_mean"] == [pytest.approx(float(found.clipped_low.float().mean()))]
    assert logged["clip_ratio/high_mean"] == [
        pytest.approx(float(found.clipped_high.float().mean()))
    ]
