"""Builders of what a learner needs: a random tiny model on disk, and batches for it."""

import math
import os
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prorl_api.spec_algorithm import KlEstimator, MismatchType
from prorl_trainer.types import TrainingBatch, TrainingSequence, UpdateSettings

os.environ.setdefault("OMP_NUM_THREADS", "1")

VOCABULARY = 48


def names_below(directory: Path) -> set[str]:
    """Of all files in it, at any depth."""
    return {str(p.relative_to(directory)) for p in directory.rglob("*") if p.is_file()}


def build_model_dir(directory: Path, *, seed: int = 1, tied: bool = True, **config: Any) -> Path:
    """Writes a random Llama (2 layers, 64 wide) in Hugging Face format; no tokenizer."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    values = {
        "vocab_size": VOCABULARY,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 256,
        "tie_word_embeddings": tied,
        "pad_token_id": 0,
        "bos_token_id": None,
        "eos_token_id": 1,
        # Far from uniform, so that a wrong temperature or position shows.
        "initializer_range": 0.2,
    }
    LlamaForCausalLM(LlamaConfig(**(values | config))).save_pretrained(directory)
    return directory


def make_sequence(
    rng: random.Random, *, group: int = 0, prompt: int = 5, response: int = 4, **values: Any
) -> TrainingSequence:
    """A sequence of random tokens; rollout log-probs are uniform's."""
    tokens = tuple(rng.randrange(2, VOCABULARY) for _ in range(response))
    defaults: dict[str, Any] = {
        "prompt_token_ids": tuple(rng.randrange(2, VOCABULARY) for _ in range(prompt)),
        "response_token_ids": tokens,
        "mask": (True,) * response,
        "rollout_logprobs": (-math.log(VOCABULARY),) * response,
        "group": group,
        "reward": 1.0,
        "advantage": rng.uniform(-1.5, 1.5),
    }
    return TrainingSequence(**(defaults | values))


def make_batch(
    *,
    groups: int = 4,
    samples: int = 4,
    seed: int = 0,
    step: int = 1,
    prompts: Sequence[int] = (3, 6, 9, 5),
    max_response: int = 9,
) -> TrainingBatch:
    """Groups of sequences of unequal length; a few tokens are masked out."""
    rng = random.Random(seed)
    sequences = []
    for group in range(groups):
        for _ in range(samples):
            response = rng.randrange(1, max_response + 1)
            mask = tuple(i == 0 or rng.random() > 0.1 for i in range(response))
            sequences.append(
                make_sequence(
                    rng,
                    group=group,
                    prompt=prompts[group % len(prompts)],
                    response=response,
                    mask=mask,
                )
            )
    return TrainingBatch(step=step, sequences=tuple(sequences))


def make_settings(**values: Any) -> UpdateSettings:
    """Settings under which every term of the loss matters and no gradient is clipped."""
    defaults: dict[str, Any] = {
        "num_updates": 2,
        "learning_rate": 1e-2,
        "max_grad_norm": 1e9,
        "clip_low": 0.2,
        "clip_high": 0.28,
        "clip_dual": None,
        "kl_estimator": KlEstimator.K2,
        "kl_coefficient": 0.05,
        "kl_clamp": 10.0,
        "mismatch_type": MismatchType.NONE,
        "mismatch_bounds": (0.5, 5.0),
        "temperature": 0.8,
        "tokens_per_microbatch": 40,
    }
    return UpdateSettings(**(defaults | values))
