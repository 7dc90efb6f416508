"""One rank of the learner: what an update does, measures and refuses."""

import dataclasses
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from learner_builders import build_model_dir, make_batch, make_settings
from learner_rank import Recording, make_learner
from prorl_trainer.errors import (
    ModelError,
    NonFiniteError,
)
from prorl_trainer.types import TrainingBatch, TrainingSequence, UpdateSettings
from transformers import AutoModelForCausalLM

BATCH = make_batch()


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_model_dir(tmp_path_factory.mktemp("model"))


def on_policy(model_dir: Path, batch: TrainingBatch, temperature: float) -> TrainingBatch:
    """The batch with the model's own log-probs as those of the rollout, one sequence at a time."""
    model = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32)
    sequences = [with_logprobs(model, s, temperature) for s in batch.sequences]
    return dataclasses.replace(batch, sequences=tuple(sequences))


@torch.no_grad()
def with_logprobs(model: Any, s: TrainingSequence, temperature: float) -> TrainingSequence:
    logprobs = textbook_logprobs(model, s, temperature)
    return dataclasses.replace(s, rollout_logprobs=tuple(logprobs.tolist()))


def textbook_logprobs(model: Any, s: TrainingSequence, temperature: float) -> torch.Tensor:
    ids = torch.tensor([s.prompt_token_ids + s.response_token_ids])
    logits = model(input_ids=ids, use_cache=False).logits[0].float()
    start = len(s.prompt_token_ids) - 1
    rows = torch.log_softmax(logits[start:-1] / temperature, -1)
    return rows.gather(1, torch.tensor(s.response_token_ids)[:, None])[:, 0]


def test_log_probs_equal_those_of_each_sequence_alone_at_the_temperature(model_dir: Path) -> None:
    settings = make_settings()
    batch = on_policy(model_dir, BATCH, settings.temperature)
    metrics = make_learner(model_dir).update(batch, settings).metrics
    assert metrics["mismatch_max"] < 1e-5
    assert 0 < metrics["mismatch"] <= metrics["mismatch_max"]


def test_the_first_update_has_ratio_one_and_no_kl(model_dir: Path) -> None:
    metrics = make_learner(model_dir).update(BATCH, make_settings(num_updates=1)).metrics
    assert metrics["ppo_kl"] == 0.0
    assert metrics["clip_fraction_low"] == metrics["clip_fraction_high"] == 0.0
    assert metrics["kl"] == metrics["kl_k1"] == 0.0


def test_later_updates_of_a_step_leave_the_old_policy(model_dir: Path) -> None:
    metrics = make_learner(model_dir).update(BATCH, make_settings(num_updates=4)).metrics
    assert metrics["ppo_kl"] != 0.0
    assert metrics["clip_fraction_low"] + metrics["clip_fraction_high"] > 0.0
    assert metrics["kl"] == 0.0, "measured before the step's first update"


def test_gradients_are_those_of_the_textbook_loss(model_dir: Path) -> None:
    """On policy the loss is -sum(A * lp) / tokens up to a constant, and k2 has no gradient."""
    settings = make_settings(num_updates=1)
    learner = make_learner(model_dir)
    learner.update(BATCH, settings)
    model = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32)
    total = sum(sum(s.mask) for s in BATCH.sequences)
    for s in BATCH.sequences:
        logprobs = textbook_logprobs(model, s, settings.temperature)
        (-s.advantage * (logprobs * torch.tensor(s.mask)).sum() / total).backward()
    found = learner.gradients()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(found[f"hf.{name}"], parameter.grad, atol=2e-6, rtol=1e-4)


@pytest.mark.parametrize("budget", [1, 30, 64, 100_000])
def test_packing_changes_neither_loss_nor_gradients(model_dir: Path, budget: int) -> None:
    settings = make_settings(num_updates=1)
    expected, found = make_learner(model_dir), make_learner(model_dir)
    a = expected.update(BATCH, settings).metrics
    b = found.update(BATCH, dataclasses.replace(settings, tokens_per_microbatch=budget)).metrics
    assert b == pytest.approx(a, rel=1e-4, abs=2e-6)
    gradients = found.gradients()
    for name, gradient in expected.gradients().items():
        torch.testing.assert_close(gradients[name], gradient, atol=2e-6, rtol=1e-4)


def test_masked_tokens_teach_nothing(model_dir: Path) -> None:
    """What the mask hides may not matter; the tokens themselves stay as context."""
    hidden = [
        dataclasses.replace(
            s,
            rollout_logprobs=tuple(
                p if m else -50.0 for p, m in zip(s.rollout_logprobs, s.mask, strict=True)
            ),
        )
        for s in BATCH.sequences
    ]
    assert any(not all(s.mask) for s in hidden)
    a, b = make_learner(model_dir), make_learner(model_dir)
    other = dataclasses.replace(BATCH, sequences=tuple(hidden))
    assert a.update(BATCH, make_settings()) == b.update(other, make_settings())
    assert a.state_digest() == b.state_digest()


def test_gradients_are_clipped_to_the_limit_and_measured_before(model_dir: Path) -> None:
    loose, tight = make_learner(model_dir), make_learner(model_dir)
    a = loose.update(BATCH, make_settings(num_updates=1)).metrics
    b = tight.update(BATCH, make_settings(num_updates=1, max_grad_norm=0.01)).metrics
    norm = math.sqrt(sum(float(g.square().sum()) for g in tight.gradients().values()))
    assert norm == pytest.approx(0.01, rel=1e-3)
    assert b["grad_norm"] == a["grad_norm"] > 0.01


def test_kl_is_exactly_zero_after_a_reset_and_was_not_before(model_dir: Path) -> None:
    learner = make_learner(model_dir)
    learner.update(BATCH, make_settings())
    assert learner.update(BATCH, make_settings()).metrics["kl"] > 1e-4
    learner.reset_reference()
    assert learner.update(BATCH, make_settings()).metrics["kl"] == 0.0


def kl_after_updates(learner: Recording, kl_coefficient: float) -> float:
    settings = make_settings(kl_coefficient=kl_coefficient)
    return [learner.update(BATCH, settings).metrics["kl"] for _ in range(6)][-1]


def test_the_kl_penalty_holds_the_policy_near_the_reference(model_dir: Path) -> None:
    free = kl_after_updates(make_learner(model_dir), 0.0)
    bound = kl_after_updates(make_learner(model_dir), 5.0)
    assert bound < 0.5 * free


def replace_first(**values: Any) -> TrainingBatch:
    first, *rest = BATCH.sequences
    return dataclasses.replace(BATCH, sequences=(dataclasses.replace(first, **values), *rest))


NAN_LOGPROBS = (math.nan, *BATCH.sequences[0].rollout_logprobs[1:])


@pytest.mark.parametrize(
    ("batch", "settings", "message"),
    [
        pytest.param(
            replace_first(rollout_logprobs=NAN_LOGPROBS), make_settings(), "rollout", id="logprob"
        ),
        pytest.param(
            replace_first(reward=math.inf), make_settings(), r"reward \(inf\)", id="reward"
        ),
        pytest.param(
            replace_first(advantage=math.nan), make_settings(), r"advantage \(nan\)", id="advantage"
        ),
        pytest.param(BATCH, make_settings(kl_coefficient=math.nan), "Loss nan", id="loss"),
        pytest.param(
            replace_first(advantage=1e38, reward=1e38), make_settings(), "norm inf", id="gradient"
        ),
    ],
)
def test_nothing_non_finite_changes_a_weight(
    model_dir: Path, batch: TrainingBatch, settings: UpdateSettings, message: str
) -> None:
    learner = make_learner(model_dir)
    before = learner.state_digest()
    with pytest.raises(NonFiniteError, match=message):
        learner.update(batch, dataclasses.replace(settings, num_updates=1))
    assert learner.state_digest() == before


def test_a_missing_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="nowhere"):
        make_learner(tmp_path / "nowhere")
