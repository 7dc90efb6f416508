"""A whole update against TRL's trainer: the same models, tokens, masks, rewards and sampler; packed
microbatches here, one padded batch there. Policy, reference and sampler are not the same policy.
"""

import dataclasses
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from learner_builders import build_model_dir, make_batch, make_settings
from learner_rank import Recording
from prorl_api.spec_algorithm import AdvantageSpec, Estimator, KlEstimator, MismatchType
from prorl_trainer.batch import estimate
from prorl_trainer.learn.learner import RankSettings
from prorl_trainer.types import TrainingBatch, TrainingSequence
from torch import Tensor
from transformers import AutoModelForCausalLM
from trl_reference import ScriptedTrainer, build_trainer

TEMPERATURE, BETA = 0.8, 0.05
LOW, HIGH = 0.7, 1.5
"""Bounds of rho that a good part of the tokens breaks."""
CORRECTIONS = {
    MismatchType.TIS: "token_truncate",
    MismatchType.ICEPOP: "token_mask",
}


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_model_dir(tmp_path_factory.mktemp("model"))


@torch.no_grad()
def sampler_logprobs(model: Any, s: TrainingSequence, rng: random.Random) -> tuple[float, ...]:
    """The model's, with the noise of another engine (far more of it than a real one has)."""
    ids = torch.tensor([s.prompt_token_ids + s.response_token_ids])
    logits = model(input_ids=ids, use_cache=False).logits[0, len(s.prompt_token_ids) - 1 : -1]
    rows = torch.log_softmax(logits / TEMPERATURE, -1)
    chosen = rows.gather(1, torch.tensor(s.response_token_ids)[:, None])[:, 0]
    return tuple(lp + rng.gauss(0, 0.3) for lp in chosen.tolist())


def scripted_batch(model_dir: Path) -> TrainingBatch:
    """Rewards that differ within every group, and group-centred advantages."""
    model, rng = AutoModelForCausalLM.from_pretrained(model_dir), random.Random(0)
    batch = make_batch(groups=3, samples=4, seed=5)
    rewards = [float(i % 3 == 0) for i in range(12)]
    advantages = estimate(
        AdvantageSpec(estimator=Estimator.DR_GRPO),
        rewards=rewards,
        groups=[s.group for s in batch.sequences],
        num_tokens=[1] * 12,
    )
    rows = zip(batch.sequences, rewards, advantages, strict=True)
    sequences = [
        dataclasses.replace(
            s, reward=r, advantage=a, rollout_logprobs=sampler_logprobs(model, s, rng)
        )
        for s, r, a in rows
    ]
    return dataclasses.replace(batch, sequences=tuple(sequences))


def moved_learner(model_dir: Path) -> Recording:
    """After an update, so that the policy is not the reference any more."""
    learner = Recording(
        RankSettings(
            rank=0, world_size=1, master_address="", master_port=0,
            model_dir=str(model_dir), seed=0, device="cpu",
        )
    )  # fmt: skip
    learner.update(make_batch(seed=9), make_settings(num_updates=1, learning_rate=2e-3))
    return learner


def trl_trainer(model_dir: Path, learner: Recording, **config: Any) -> ScriptedTrainer:
    """TRL with the learner's policy and with the model on disk as its reference."""
    trainer = build_trainer(
        model_dir, samples=4, batch=12, loss_type="dapo", epsilon=0.2, epsilon_high=0.28,
        scale_rewards="none", beta=BETA, use_bias_correction_kl=False, temperature=TEMPERATURE,
        **config,
    )  # fmt: skip
    trainer.model.load_state_dict(learner.weights(), strict=False)
    trainer.model.tie_weights()
    return trainer


def trl_gradients(trainer: ScriptedTrainer, batch: TrainingBatch) -> dict[str, Tensor]:
    loss = trainer.loss(trainer.rollout(batch.sequences))
    trainer.model.zero_grad()
    loss.backward()
    gradients = {f"hf.{n}": p.grad for n, p in trainer.model.named_parameters()}
    return {"loss": loss.detach(), **gradients}


@pytest.mark.parametrize(
    ("correction", "bonus"),
    [(MismatchType.TIS, 0.0), (MismatchType.ICEPOP, 0.0), (MismatchType.ICEPOP, 0.5)],
)
def test_an_update_has_the_loss_and_the_gradients_of_trl(
    model_dir: Path, correction: MismatchType, bonus: float
) -> None:
    batch, learner = scripted_batch(model_dir), moved_learner(model_dir)
    trainer = trl_trainer(
        model_dir, learner, vllm_importance_sampling_mode=CORRECTIONS[correction],
        vllm_importance_sampling_clip_min=LOW, vllm_importance_sampling_clip_max=HIGH,
        entropy_coef=bonus,
    )  # fmt: skip
    expected = trl_gradients(trainer, batch)
    metrics = learner.update(
        batch,
        make_settings(
            num_updates=1, learning_rate=0.0, temperature=TEMPERATURE, kl_estimator=KlEstimator.K3,
            kl_coefficient=BETA, mismatch_type=correction, mismatch_bounds=(LOW, HIGH),
            entropy_coefficient=bonus,
        ),
    ).metrics  # fmt: skip
    assert 0.1 < metrics["is_oob_ratio"] < 0.9
    assert metrics["kl"] > 1e-3
    assert metrics["loss"] == pytest.approx(float(expected["loss"]), abs=1e-6)
    logged = trainer._metrics["eval"]
    mismatch = logged["sampling/sampling_logp_difference/mean"]
    assert [metrics["mismatch"]] == pytest.approx(mismatch, rel=1e-4)
    largest = logged["sampling/sampling_logp_difference/max"]
    assert [metrics["mismatch_max"]] == pytest.approx(largest, rel=1e-4)
    if bonus:
        assert [metrics["entropy_exact"]] == pytest.approx(logged["entropy"], rel=1e-5)
    for name, gradient in learner.gradients().items():
        torch.testing.assert_close(gradient, expected[name], atol=2e-6, rtol=1e-4)
