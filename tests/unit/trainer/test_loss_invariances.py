"""What may not change the loss of a mini-batch or its gradient: padding, what the mask hides, the
order of the sequences, ranks and microbatches. Tensors only; the model is in test_learner.py.
"""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, fields

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from learner_builders import make_sequence, make_settings
from prorl_api.spec_algorithm import KlEstimator, MismatchType
from prorl_trainer.algo.kl import clamped_delta, k1, k2, k3
from prorl_trainer.algo.masked import masked_mean
from prorl_trainer.algo.mismatch import log_rho
from prorl_trainer.algo.policy_loss import LOG_RATIO_CLAMP, clip_higher_loss, dual_clip
from prorl_trainer.learn.correct import correct
from prorl_trainer.learn.packing import Microbatch, pack_rank
from torch import Tensor

torch.set_num_threads(1)
ESTIMATORS = {KlEstimator.K1: k1, KlEstimator.K2: k2, KlEstimator.K3: k3}
SWITCHES = st.tuples(st.sampled_from(KlEstimator), st.sampled_from(MismatchType))
BOUNDS = (0.9, 1.15)
Switches = tuple[KlEstimator, MismatchType]


@dataclass(frozen=True, kw_only=True, slots=True)
class Tokens:
    """Packed tokens [T]; `sequence` says whose they are."""

    logprobs: Tensor
    old: Tensor
    reference: Tensor
    rollout: Tensor
    advantages: Tensor
    mask: Tensor
    sequence: Tensor

    def select(self, index: Tensor) -> "Tokens":
        """Those tokens, as a batch of their own."""
        return Tokens(**{f.name: getattr(self, f.name)[index] for f in fields(self)})


@st.composite
def batches(draw: st.DrawFn) -> Tokens:
    """Sequences of unequal length, off policy, away from reference and sampler, holes in masks."""
    lengths = draw(st.lists(st.integers(1, 6), min_size=1, max_size=6))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    size = sum(lengths)
    noise = torch.randn(4, size, generator=generator)
    sequence = torch.arange(len(lengths)).repeat_interleave(torch.tensor(lengths))
    mask = torch.rand(size, generator=generator) < 0.7
    mask[0] = True
    return Tokens(
        logprobs=-2 + noise[0], old=-2 + noise[1], reference=-2 + noise[2],
        rollout=-2 + noise[1] + 0.5 * noise[3], mask=mask, sequence=sequence,
        advantages=torch.randn(len(lengths), generator=generator)[sequence],
    )  # fmt: skip


def result(t: Tokens, switches: Switches, num_tokens: float) -> tuple[Tensor, Tensor]:
    """The loss and its gradient [T]."""
    estimator, mismatch = switches
    logprobs = t.logprobs.clone().requires_grad_()
    surrogate = clip_higher_loss(logprobs, t.old, t.advantages, low=0.2, high=0.28)
    loss, _ = dual_clip(surrogate.loss, t.advantages, 3.0)
    settings = make_settings(mismatch_type=mismatch, mismatch_bounds=BOUNDS)
    weights = correct(log_rho(t.old, t.rollout), t.mask, t.sequence, settings).weights
    penalty = ESTIMATORS[estimator](clamped_delta(logprobs, t.reference, 10.0))
    total = masked_mean(weights * loss + 0.1 * penalty, t.mask, num_tokens)
    total.backward()
    assert logprobs.grad is not None
    return total.detach(), logprobs.grad


def assert_same(found: tuple[Tensor, Tensor], expected: tuple[Tensor, Tensor]) -> None:
    torch.testing.assert_close(found[0], expected[0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found[1], expected[1], atol=1e-6, rtol=1e-5)


@given(batches(), SWITCHES, st.sampled_from([math.nan, math.inf, -math.inf, 3e38, -7.0]))
def test_what_the_mask_hides_has_no_influence_on_value_or_gradient(
    t: Tokens, switches: Switches, junk: float
) -> None:
    """Advantages are left out: a sequence has one, and the step refuses it if it is not finite."""
    hidden = {
        name: torch.where(t.mask, getattr(t, name), junk)
        for name in ("logprobs", "old", "reference", "rollout")
    }
    rest = {"advantages": t.advantages, "mask": t.mask, "sequence": t.sequence}
    count = float(t.mask.sum())
    value, gradient = result(Tokens(**hidden, **rest), switches, count)
    assert (gradient[~t.mask] == 0).all()
    expected = result(t, switches, count)
    assert torch.equal(value, expected[0])
    assert torch.equal(gradient, expected[1])


@given(batches(), SWITCHES)
def test_hidden_tokens_may_as_well_be_absent(t: Tokens, switches: Switches) -> None:
    """Padding is a hidden token too."""
    count = float(t.mask.sum())
    value, gradient = result(t, switches, count)
    found = result(t.select(t.mask.nonzero()[:, 0]), switches, count)
    assert_same(found, (value, gradient[t.mask]))


@given(batches(), SWITCHES, st.randoms(use_true_random=False))
def test_the_order_of_the_sequences_does_not_matter(
    t: Tokens, switches: Switches, rng: random.Random
) -> None:
    names = sorted(set(t.sequence.tolist()))
    rng.shuffle(names)
    order = torch.cat([(t.sequence == name).nonzero()[:, 0] for name in names])
    value, gradient = result(t, switches, 7.0)
    assert_same(result(t.select(order), switches, 7.0), (value, gradient[order]))


@given(batches(), SWITCHES, st.integers(1, 5), st.randoms(use_true_random=False))
def test_parts_of_whole_sequences_add_up_to_the_whole(
    t: Tokens, switches: Switches, num_parts: int, rng: random.Random
) -> None:
    """Ranks and microbatches are such parts; all divide by the tokens of the whole mini-batch."""
    owner = torch.tensor([rng.randrange(num_parts) for _ in range(int(t.sequence.max()) + 1)])
    count = float(t.mask.sum())
    value, gradient = torch.zeros(()), torch.zeros_like(t.logprobs)
    for part in range(num_parts):
        index = (owner[t.sequence] == part).nonzero()[:, 0]
        value_part, gradient[index] = result(t.select(index), switches, count)
        value = value + value_part
    assert_same((value, gradient), result(t, switches, count))


LENGTHS = st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=12)


def microbatch_loss(m: Microbatch, num_tokens: float) -> Tensor:
    """With log-probs that are a pure function of token and position."""
    position = torch.tensor(m.position_ids)[torch.tensor(m.predict_index)]
    target = torch.tensor(m.targets)
    logprobs = -1.0 - torch.sin(target * 1.3 + position).abs()
    old = -1.0 - torch.cos(target * 0.7 + position).abs()
    loss = clip_higher_loss(logprobs, old, torch.tensor(m.advantages), low=0.2, high=0.28).loss
    return masked_mean(loss, torch.tensor(m.mask), num_tokens)


@given(LENGTHS, st.integers(1, 4), st.integers(1, 40))
def test_ranks_and_microbatches_of_the_packing_add_up_to_the_whole(
    lengths: list[tuple[int, int]], world_size: int, max_tokens: int
) -> None:
    rng = random.Random(0)
    sequences = [make_sequence(rng, prompt=p, response=r) for p, r in lengths]
    count = float(sum(r for _, r in lengths))

    def total(world_size: int, max_tokens: int) -> float:
        packs = [
            pack_rank(sequences, rank=r, world_size=world_size, max_tokens=max_tokens)
            for r in range(world_size)
        ]
        return math.fsum(float(microbatch_loss(m, count)) for pack in packs for m in pack)

    assert total(world_size, max_tokens) == pytest.approx(total(1, 10_000), abs=1e-5)


EXTREME = st.floats(width=32, allow_nan=False, allow_infinity=False)


@given(EXTREME, EXTREME, EXTREME, EXTREME, st.floats(-1e6, 1e6, width=32), SWITCHES)
def test_value_and_gradient_stay_finite_for_every_finite_input(
    logprob: float, old: float, reference: float, rollout: float, advantage: float,
    switches: Switches,
) -> None:  # fmt: skip
    one = [torch.tensor([v]) for v in (logprob, old, reference, rollout, advantage)]
    names = ("logprobs", "old", "reference", "rollout", "advantages")
    t = Tokens(
        **dict(zip(names, one, strict=True)),
        mask=torch.tensor([True]), sequence=torch.tensor([0]),
    )  # fmt: skip
    value, gradient = result(t, switches, 1.0)
    assert value.isfinite()
    assert gradient.isfinite().all()


Estimator = Callable[[Tensor], Tensor]


@given(EXTREME, EXTREME, st.floats(0.1, 20))
def test_every_clamp_bounds_what_is_behind_it(a: float, b: float, clamp: float) -> None:
    first, second = torch.tensor([a]), torch.tensor([b])
    delta = clamped_delta(first, second, clamp)
    assert abs(float(delta)) <= clamp * (1 + 1e-6)
    assert 0 <= float(k2(delta)) <= clamp**2 / 2 * (1 + 1e-5)
    assert 0 <= float(k3(delta)) <= (math.exp(clamp) + clamp) * (1 + 1e-5)
    assert abs(float(log_rho(first, second))) <= LOG_RATIO_CLAMP
    for mismatch in (MismatchType.TIS, MismatchType.ICEPOP, MismatchType.SEQUENCE_MASK):
        settings = make_settings(mismatch_type=mismatch, mismatch_bounds=BOUNDS)
        weight = correct(
            log_rho(first, second), torch.tensor([True]), torch.tensor([0]), settings
        ).weights
        assert weight == 0 or BOUNDS[0] * (1 - 1e-6) <= weight <= BOUNDS[1] * (1 + 1e-6)
