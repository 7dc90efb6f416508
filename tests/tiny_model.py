"""A tiny model with random weights and a batch for it; nothing is downloaded."""

import random
from pathlib import Path

from prorl_api.spec_algorithm import KlEstimator, MismatchType
from prorl_trainer.model.tiny import TinySettings, build_model, build_tokenizer
from prorl_trainer.types import TrainingBatch, TrainingSequence, UpdateSettings


def make_model(directory: Path) -> Path:
    """Saves model and tokenizer in Hugging Face format."""
    tokenizer = build_tokenizer()
    model = build_model(TinySettings(layers=2, hidden=32, heads=2), len(tokenizer))
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return directory


def make_batch(*, num_groups: int = 4, num_samples: int = 3, seed: int = 0) -> TrainingBatch:
    """Random tokens of random lengths; rollout log-probs need not fit the model."""
    rng = random.Random(seed)
    sequences = []
    for group in range(num_groups):
        prompt = tuple(rng.randrange(3, 90) for _ in range(rng.randrange(3, 12)))
        for _ in range(num_samples):
            length = rng.randrange(1, 9)
            sequences.append(
                TrainingSequence(
                    prompt_token_ids=prompt,
                    response_token_ids=tuple(rng.randrange(3, 90) for _ in range(length)),
                    mask=(True,) * length,
                    rollout_logprobs=(-4.5,) * length,
                    group=group,
                    reward=0.0,
                    advantage=rng.uniform(-2, 2),
                )
            )
    return TrainingBatch(step=1, sequences=tuple(sequences))


def make_settings(**changes: object) -> UpdateSettings:
    """Defaults that make two real updates."""
    values = {
        "num_updates": 2, "learning_rate": 1e-3, "max_grad_norm": 1.0, "clip_low": 0.2,
        "clip_high": 0.28, "clip_dual": None, "kl_estimator": KlEstimator.K2,
        "kl_coefficient": 1e-2, "kl_clamp": 10.0, "temperature": 1.0,
        "mismatch_type": MismatchType.NONE, "mismatch_bounds": (0.5, 5.0),
        "tokens_per_microbatch": 64,
    }  # fmt: skip
    return UpdateSettings(**{**values, **changes})  # type: ignore[arg-type]
