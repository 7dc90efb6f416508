"""Every switch of the loss, from the settings to the gradient: equal to the formula written down
densely, off policy and away from the reference."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from learner_builders import build_model_dir, make_batch, make_settings
from learner_rank import Recording, make_learner
from prorl_api.spec_algorithm import KlEstimator, MismatchType
from prorl_trainer.types import TrainingBatch, TrainingSequence, UpdateSettings
from torch import Tensor
from transformers import AutoModelForCausalLM

BATCH = make_batch()
FIRST, SECOND = BATCH.sequences[:8], BATCH.sequences[8:]
"""The two mini-batches of a step with two updates."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Models:
    """Hugging Face models with the weights of three moments."""

    reference: Any
    old: Any
    """At the start of the step: after one step from the reference."""
    current: Any
    """After the step's first update, which does not depend on the switches: its ratio is 1."""


def textbook_model(model_dir: Path, learner: Recording | None = None) -> Any:
    model = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32)
    if learner is not None:
        model.load_state_dict(learner.weights(), strict=False)
        model.tie_weights()
    return model


def rows_of(model: Any, s: TrainingSequence, temperature: float) -> Tensor:
    """Log-probs of the whole vocabulary for each response token."""
    ids = torch.tensor([s.prompt_token_ids + s.response_token_ids])
    logits = model(input_ids=ids, use_cache=False).logits[0].float()
    return torch.log_softmax(logits[len(s.prompt_token_ids) - 1 : -1] / temperature, -1)


def logprobs(model: Any, s: TrainingSequence, temperature: float) -> Tensor:
    rows = rows_of(model, s, temperature)
    return rows.gather(1, torch.tensor(s.response_token_ids)[:, None])[:, 0]


def textbook_loss(models: Models, s: TrainingSequence, settings: UpdateSettings) -> Tensor:
    """Sum over the sequence's tokens, term by term as the papers write it."""
    with torch.no_grad():
        old = logprobs(models.old, s, settings.temperature)
        reference = logprobs(models.reference, s, settings.temperature)
    lp = logprobs(models.current, s, settings.temperature)
    ratio = (lp - old).exp()
    clipped = ratio.clamp(1 - settings.clip_low, 1 + settings.clip_high)
    objective = torch.minimum(ratio * s.advantage, clipped * s.advantage)
    if settings.clip_dual is not None and s.advantage < 0:
        objective = objective.clamp(min=settings.clip_dual * s.advantage)
    objective = objective * textbook_weights(old, s, settings)
    d = lp - reference
    kl = {
        KlEstimator.K1: d,
        KlEstimator.K2: d**2 / 2,
        KlEstimator.K3: (-d).exp() - 1 + d,
    }[settings.kl_estimator]
    rows = rows_of(models.current, s, settings.temperature)
    bonus = settings.entropy_coefficient * -(rows.exp() * rows).sum(-1)
    terms = -objective + settings.kl_coefficient * kl - bonus
    return (terms * torch.tensor(s.mask)).sum()


def textbook_weights(old: Tensor, s: TrainingSequence, settings: UpdateSettings) -> Tensor:
    rho = (old - torch.tensor(s.rollout_logprobs)).exp()
    low, high = settings.mismatch_bounds
    mean = float(torch.log(rho[torch.tensor(s.mask)]).mean().exp())
    return {
        MismatchType.NONE: torch.ones_like(rho),
        MismatchType.TIS: rho.clamp(low, high),
        MismatchType.ICEPOP: rho * ((low <= rho) & (rho <= high)),
        MismatchType.SEQUENCE_MASK: rho * (low <= mean <= high),
    }[settings.mismatch_type]


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_model_dir(tmp_path_factory.mktemp("model"))


OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "k1": {"kl_estimator": KlEstimator.K1, "kl_coefficient": 1.0},
    "k2": {"kl_estimator": KlEstimator.K2, "kl_coefficient": 1.0},
    "k3": {"kl_estimator": KlEstimator.K3, "kl_coefficient": 1.0},
    "tis": {"mismatch_type": MismatchType.TIS, "mismatch_bounds": (0.0, 1.1)},
    "icepop": {"mismatch_type": MismatchType.ICEPOP, "mismatch_bounds": (0.9, 1.1)},
    "sequence-mask": {
        "mismatch_type": MismatchType.SEQUENCE_MASK,
        "mismatch_bounds": (0.95, 1.05),
    },
    "dual-clip": {"clip_dual": 1.05},
    "entropy": {"entropy_coefficient": 0.3},
}


def take_step(learner: Recording, sequences: Any, settings: UpdateSettings, updates: int) -> Any:
    batch = TrainingBatch(step=1, sequences=tuple(sequences))
    return learner.update(batch, dataclasses.replace(settings, num_updates=updates)).metrics


@pytest.mark.parametrize("name", list(OPTIONS))
def test_the_gradient_is_that_of_the_textbook_loss(model_dir: Path, name: str) -> None:
    settings = make_settings(**OPTIONS[name])
    learner, first_half = make_learner(model_dir), make_learner(model_dir)
    for each in (learner, first_half):
        take_step(each, BATCH.sequences, make_settings(), 1)
    old = textbook_model(model_dir, first_half)
    take_step(first_half, FIRST, settings, 1)
    models = Models(
        reference=textbook_model(model_dir),
        old=old,
        current=textbook_model(model_dir, first_half),
    )
    metrics = take_step(learner, BATCH.sequences, settings, 2)
    total = sum(sum(s.mask) for s in SECOND)
    for s in SECOND:
        (textbook_loss(models, s, settings) / total).backward()
    found = learner.gradients()
    for weight, parameter in models.current.named_parameters():
        torch.testing.assert_close(found[f"hf.{weight}"], parameter.grad, atol=1e-5, rtol=1e-3)
    assert (metrics["clip_fraction_dual"] > 0) == (name == "dual-clip")


def gradients_of(model_dir: Path, name: str) -> dict[str, Tensor]:
    learner = make_learner(model_dir)
    take_step(learner, BATCH.sequences, make_settings(), 1)
    take_step(learner, BATCH.sequences, make_settings(**OPTIONS[name]), 2)
    return learner.gradients()


@pytest.mark.parametrize("name", [name for name in OPTIONS if name != "plain"])
def test_every_switch_changes_the_gradient(model_dir: Path, name: str) -> None:
    plain, switched = gradients_of(model_dir, "plain"), gradients_of(model_dir, name)
    assert any((plain[key] - switched[key]).abs().max() > 1e-4 for key in plain)
