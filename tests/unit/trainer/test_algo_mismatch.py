"""Mismatch correction: by hand, against the definition, and what may not matter."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from prorl_api.spec_algorithm import MismatchCorrectionSpec, MismatchType
from prorl_trainer.algo.mismatch import icepop, log_rho, sequence_mask, truncated

LOGS = torch.tensor([math.log(0.3), math.log(0.5) + 1e-6, math.log(4.9), math.log(7.0)])


def test_icepop_as_computed_by_hand() -> None:
    found = icepop(LOGS, low=0.5, high=5.0)
    assert found.weights.tolist() == pytest.approx([0.0, 0.5, 4.9, 0.0], abs=1e-5)
    assert found.out_of_bounds.tolist() == [True, False, False, True]


def test_truncated_as_computed_by_hand() -> None:
    found = truncated(LOGS, low=0.0, high=2.0)
    assert found.weights.tolist() == pytest.approx([0.3, 0.5, 2.0, 2.0], abs=1e-5)
    assert found.out_of_bounds.tolist() == [False, False, True, True]


def test_sequence_mask_as_computed_by_hand() -> None:
    """Geometric means: sqrt(2 * 0.5) = 1; sqrt(2 * 2) = 2; the masked 100 does not count."""
    logs = torch.log(torch.tensor([2.0, 0.5, 2.0, 2.0, 100.0]))
    mask = torch.tensor([True, True, True, True, False])
    found = sequence_mask(logs, mask, torch.tensor([0, 0, 1, 1, 0]), low=0.9, high=1.1)
    assert found.weights.tolist() == pytest.approx([2.0, 0.5, 0.0, 0.0, 100.0])
    assert found.out_of_bounds.tolist() == [False, False, True, True, False]


def test_weights_are_fp32_finite_and_without_gradient_for_absurd_log_probs() -> None:
    old = torch.tensor([0.0, -1e30, math.nan], requires_grad=True)
    logs = log_rho(old, torch.tensor([-1e30, 0.0, 0.0]))
    assert logs.tolist()[:2] == [20.0, -20.0]
    found = truncated(logs, low=0.0, high=2.0)
    assert found.weights.tolist() == [2.0, pytest.approx(math.exp(-20)), 0.0]
    assert not found.weights.requires_grad
    bf16 = torch.zeros(1, dtype=torch.bfloat16)
    assert log_rho(bf16, bf16).dtype == torch.float32


TOKENS = st.lists(st.tuples(st.floats(-3, 3), st.booleans()), min_size=1, max_size=8)


@given(st.lists(TOKENS, min_size=1, max_size=4))
def test_packing_and_masked_values_change_no_sequence(
    sequences: list[list[tuple[float, bool]]],
) -> None:
    """All sequences in one pack give what each gives alone, with other values behind the mask."""
    logs = [torch.tensor([v for v, _ in s]) for s in sequences]
    masks = [torch.tensor([m for _, m in s]) for s in sequences]
    index = torch.tensor([i for i, s in enumerate(sequences) for _ in s])
    packed = sequence_mask(torch.cat(logs), torch.cat(masks), index, low=0.5, high=2.0)
    parts = [
        sequence_mask(
            torch.where(m, v, 9.0), m, torch.zeros(len(v), dtype=torch.int64), low=0.5, high=2.0
        ).weights[m]
        for v, m in zip(logs, masks, strict=True)
    ]
    assert torch.equal(packed.weights[torch.cat(masks)], torch.cat(parts))


@given(st.floats(-0.6, 0.6))
def test_equal_policies_are_left_alone_and_near_ones_get_rho(log_ratio: float) -> None:
    value = torch.tensor([log_ratio])
    for found in (truncated(value, low=0.0, high=2.0), icepop(value, low=0.5, high=5.0)):
        assert float(found.weights) == pytest.approx(math.exp(log_ratio), rel=1e-5)


def test_every_type_has_its_own_bounds() -> None:
    found = {t: MismatchCorrectionSpec(type=t).bounds for t in MismatchType}
    assert found[MismatchType.ICEPOP] == (0.5, 5.0)
    assert found[MismatchType.TIS] == (0.0, 2.0)
    assert found[MismatchType.SEQUENCE_MASK] == (0.999, 1.002)
    assert MismatchCorrectionSpec(high=3.0).bounds == (0.5, 3.0)
