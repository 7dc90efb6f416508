"""Weights for the mismatch of sampler and trainer against TRL's four modes.

Ours are per token; TRL's sequence modes are products over a sequence, one number for all its
tokens. Where that is another definition, the test states how they are related.
"""

import dataclasses
import random
from pathlib import Path

import pytest
import torch
from learner_builders import build_model_dir, make_sequence
from prorl_trainer.algo.mismatch import Correction, icepop, log_rho, sequence_mask, truncated
from prorl_trainer.types import TrainingSequence
from torch import Tensor
from trl_reference import build_trainer

LOW, HIGH = 0.6, 1.7


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_model_dir(tmp_path_factory.mktemp("model"))


def make_rows(length: int) -> list[TrainingSequence]:
    """Eight sequences, each with its own amount of mismatch; the last token is masked out."""
    rng, rows = random.Random(1), []
    for index in range(8):
        noise = tuple(-2.0 + rng.gauss(0.0, 0.1 * index) for _ in range(length))
        row = make_sequence(rng, group=index // 4, response=length, rollout_logprobs=noise)
        masked = (True,) * (length - 1) + (length == 1,)
        rows.append(dataclasses.replace(row, mask=masked))
    return rows


def trl_weights(
    model_dir: Path, rows: list[TrainingSequence], mode: str, low: float | None, high: float
) -> Tensor:
    """[8, T], or [8, 1] for a sequence mode; the trainer's log-probs are all -2."""
    trainer = build_trainer(
        model_dir, samples=4, batch=8, vllm_importance_sampling_mode=mode,
        vllm_importance_sampling_clip_min=low, vllm_importance_sampling_clip_max=high,
    )  # fmt: skip
    trainer.logprobs = torch.full((8, len(rows[0].mask)), -2.0)
    return trainer.rollout(rows)["importance_sampling_ratio"]


def log_ratios(rows: list[TrainingSequence]) -> tuple[Tensor, Tensor, Tensor]:
    """Packed: log rho, mask, index of the sequence."""
    rollout = torch.tensor([p for s in rows for p in s.rollout_logprobs])
    mask = torch.tensor([m for s in rows for m in s.mask])
    index = torch.tensor([i for i, s in enumerate(rows) for _ in s.mask])
    return log_rho(torch.full_like(rollout, -2.0), rollout), mask, index


def assert_same_weights(found: Correction, mask: Tensor, expected: Tensor) -> None:
    flat = expected.flatten()[mask]
    torch.testing.assert_close(found.weights[mask], flat)
    assert 0 < found.out_of_bounds[mask].sum() < mask.sum()


@pytest.mark.parametrize("low", [None, LOW])
def test_tis_is_token_truncate(model_dir: Path, low: float | None) -> None:
    rows = make_rows(6)
    log_ratio, mask, _ = log_ratios(rows)
    expected = trl_weights(model_dir, rows, "token_truncate", low, HIGH)
    assert_same_weights(truncated(log_ratio, low=low or 0.0, high=HIGH), mask, expected)


@pytest.mark.parametrize("low", [None, LOW])
def test_icepop_is_token_mask(model_dir: Path, low: float | None) -> None:
    rows = make_rows(6)
    log_ratio, mask, _ = log_ratios(rows)
    expected = trl_weights(model_dir, rows, "token_mask", low, HIGH)
    assert_same_weights(icepop(log_ratio, low=low or 0.0, high=HIGH), mask, expected)


def test_sequence_masks_drop_the_same_sequences_for_bounds_to_the_power_of_the_length(
    model_dir: Path,
) -> None:
    """Ours asks the geometric mean g of n tokens, TRL their product g^n: [lo, hi] here is
    [lo^n, hi^n] there. TRL then weighs every token by the product, we each by its own ratio, so
    that the product of our weights is TRL's weight."""
    rows, n = make_rows(6), 5
    log_ratio, mask, index = log_ratios(rows)
    low, high = 0.95, 1.1
    expected = trl_weights(model_dir, rows, "sequence_mask", low**n, high**n)[:, 0]
    found = sequence_mask(log_ratio, mask, index, low=low, high=high)
    kept = found.weights.where(mask, 1.0).view(8, 6).prod(1)
    torch.testing.assert_close(kept, expected)
    assert 0 < (expected == 0).sum() < 8


def test_trl_default_bound_drops_long_sequences_that_ours_keeps(model_dir: Path) -> None:
    """Every token 2 % likelier for the trainer: the product of 60 is 3.3 > 3, the mean is 1.02."""
    rows = [
        dataclasses.replace(s, rollout_logprobs=(-2.02,) * 61, mask=(True,) * 60 + (False,))
        for s in make_rows(61)
    ]
    log_ratio, mask, index = log_ratios(rows)
    assert (trl_weights(model_dir, rows, "sequence_mask", None, 3.0) == 0).all()
    found = sequence_mask(log_ratio, mask, index, low=0.9, high=1.1)
    torch.testing.assert_close(found.weights[mask], torch.full((480,), 1.0202013))


@pytest.mark.parametrize("level", ["token", "sequence"])
def test_all_definitions_agree_on_sequences_of_one_token(model_dir: Path, level: str) -> None:
    rows = make_rows(1)
    log_ratio, mask, index = log_ratios(rows)
    cut = trl_weights(model_dir, rows, f"{level}_truncate", LOW, HIGH)
    dropped = trl_weights(model_dir, rows, f"{level}_mask", LOW, HIGH)
    assert_same_weights(truncated(log_ratio, low=LOW, high=HIGH), mask, cut)
    assert_same_weights(icepop(log_ratio, low=LOW, high=HIGH), mask, dropped)
    by_sequence = sequence_mask(log_ratio, mask, index, low=LOW, high=HIGH)
    assert_same_weights(by_sequence, mask, dropped)


def test_a_sampler_without_a_log_prob_is_one_in_trl_and_refused_here(model_dir: Path) -> None:
    """TRL lets a token whose log-prob is NaN pass with weight 1; our step refuses the batch
    (check_finite), and the weights alone would drop it."""
    rows = make_rows(6)
    broken = dataclasses.replace(rows[0], rollout_logprobs=(float("nan"),) * 6)
    expected = trl_weights(model_dir, [broken, *rows[1:]], "token_mask", LOW, HIGH)
    assert (expected[0] == 1).all()
    log_ratio, _, _ = log_ratios([broken, *rows[1:]])
    assert (icepop(log_ratio, low=LOW, high=HIGH).weights[:6] == 0).all()
