"""What an update measures, against the same numbers made from log-probs of each sequence alone."""

import dataclasses
import random
from pathlib import Path

import pytest
import torch
from learner_builders import build_model_dir, make_batch, make_settings
from learner_rank import make_learner
from prorl_trainer.learn.totals import weight_metrics
from prorl_trainer.types import TrainingBatch, TrainingSequence
from torch import Tensor
from transformers import AutoModelForCausalLM

BATCH = make_batch()
SETTINGS = make_settings(num_updates=1)


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_model_dir(tmp_path_factory.mktemp("model"))


@torch.no_grad()
def textbook_rows(model_dir: Path, batch: TrainingBatch) -> Tensor:
    """Log-probs of the whole vocabulary, for every unmasked response token of the batch."""
    model = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32)
    found = []
    for s in batch.sequences:
        ids = torch.tensor([s.prompt_token_ids + s.response_token_ids])
        logits = model(input_ids=ids, use_cache=False).logits[0, len(s.prompt_token_ids) - 1 : -1]
        rows = torch.log_softmax(logits.double() / SETTINGS.temperature, -1)
        found.append(rows[torch.tensor(s.mask)])
    return torch.cat(found)


def targets_of(batch: TrainingBatch) -> Tensor:
    pairs = (zip(s.response_token_ids, s.mask, strict=True) for s in batch.sequences)
    return torch.tensor([t for pair in pairs for t, m in pair if m])


def with_noise(batch: TrainingBatch, lp: Tensor, deviation: float) -> TrainingBatch:
    """The batch as if an engine had reported lp with noise on it."""
    rng, values = random.Random(0), iter(lp.tolist())

    def noisy(s: TrainingSequence) -> TrainingSequence:
        reported = tuple(next(values) + rng.gauss(0, deviation) if m else -9.0 for m in s.mask)
        return dataclasses.replace(s, rollout_logprobs=reported)

    return dataclasses.replace(batch, sequences=tuple(noisy(s) for s in batch.sequences))


@pytest.mark.parametrize("deviation", [0.003, 0.3])
def test_the_distance_to_the_engine_is_measured_over_unmasked_tokens(
    model_dir: Path, deviation: float
) -> None:
    old = textbook_rows(model_dir, BATCH).gather(1, targets_of(BATCH)[:, None])[:, 0]
    batch = with_noise(BATCH, old, deviation)
    roll = torch.tensor(
        [p for s in batch.sequences for p, m in zip(s.rollout_logprobs, s.mask, strict=True) if m],
        dtype=torch.float64,
    )
    metrics = make_learner(model_dir).update(batch, SETTINGS).metrics
    rho = (old - roll).exp()
    expected = {
        "prob_difference": (old.exp() - roll.exp()).abs().mean(),
        "mismatch": (old - roll).abs().mean(),
        "mismatch_max": (old - roll).abs().max(),
        "token_mult_prob_error": (old - roll).abs().exp().mean(),
        "gen_kl": (rho - 1 - (old - roll)).mean(),
        "is_weight_mean": rho.mean(),
        "is_weight_std": rho.std(correction=0),
        "is_ess": rho.sum() ** 2 / (len(rho) * (rho**2).sum()),
        "is_chi2": (rho**2).mean() - 1,
    }
    # Noise of 0.003 is measured to some 1e-6: the packed log-probs' own rounding.
    for name, value in expected.items():
        assert metrics[name] == pytest.approx(float(value), rel=2e-3, abs=2e-6), name


def test_exact_entropy_is_measured_with_a_bonus_and_only_then(model_dir: Path) -> None:
    rows = textbook_rows(model_dir, BATCH)
    expected = float(-(rows.exp() * rows).sum(-1).mean())
    estimate = -float(rows.gather(1, targets_of(BATCH)[:, None]).mean())
    plain = make_learner(model_dir).update(BATCH, SETTINGS).metrics
    bonus = dataclasses.replace(SETTINGS, entropy_coefficient=0.1)
    with_bonus = make_learner(model_dir).update(BATCH, bonus).metrics
    assert "entropy_exact" not in plain
    assert with_bonus["entropy_exact"] == pytest.approx(expected, rel=1e-5)
    assert plain["entropy"] == pytest.approx(estimate, rel=1e-5)
    assert with_bonus["entropy"] == pytest.approx(estimate, rel=1e-5)
    assert abs(estimate - expected) > 0.01, "random tokens: the two must differ here"
    assert with_bonus["loss"] == pytest.approx(plain["loss"] - 0.1 * expected, rel=1e-5)


@pytest.mark.parametrize("coefficient", [0.0, 0.1])
def test_old_current_and_reference_are_computed_alike_to_the_last_bit(
    model_dir: Path, coefficient: float
) -> None:
    """Another packing, temperature or head in one of them would show as a ratio that is not 1."""
    settings = make_settings(num_updates=1, entropy_coefficient=coefficient, temperature=0.7)
    learner = make_learner(model_dir)
    metrics = learner.update(BATCH, settings).metrics
    assert metrics["ppo_kl"] == metrics["kl"] == metrics["kl_k1"] == 0.0
    learner.reset_reference()
    assert learner.update(make_batch(seed=3), settings).metrics["kl"] == 0.0


def test_a_bonus_raises_the_entropy_of_the_policy(model_dir: Path) -> None:
    """Alone: all advantages are 0."""
    settings = make_settings(num_updates=1, entropy_coefficient=1.0, learning_rate=1e-3)
    sequences = tuple(dataclasses.replace(s, advantage=0.0) for s in BATCH.sequences)
    still = dataclasses.replace(BATCH, sequences=sequences)
    learner = make_learner(model_dir)
    found = [learner.update(still, settings).metrics["entropy_exact"] for _ in range(5)]
    assert found[-1] > found[0] + 0.05


def test_weight_metrics_of_two_weights_by_hand() -> None:
    """rho = 0.5 and 1.5: mean 1, variance 0.25, (2)²/(2·2.5) = 0.8."""
    found = weight_metrics(0.0, 0.25)
    assert found == {
        "is_weight_mean": 1.0,
        "is_weight_std": 0.5,
        "is_ess": pytest.approx(0.8),
        "is_chi2": 0.25,
    }
    assert weight_metrics(0.0, 0.0)["is_ess"] == 1.0
    assert weight_metrics(-1.0, 1.0)["is_ess"] == 0.0, "rho of exp(-20), rounded to nothing"
