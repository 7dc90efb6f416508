"""Which models the learner takes, and that packing them changes nothing against padded batches."""

from pathlib import Path
from typing import Any

import pytest
import torch
from learner_builders import build_model_dir, make_batch, make_settings
from learner_rank import make_learner
from padded import padded_step
from prorl_trainer.errors import ModelError
from transformers import Gemma2Config, Gemma2ForCausalLM, GraniteConfig, GraniteForCausalLM

BATCH = make_batch()


@pytest.mark.parametrize("size", [1, 5, 16])
def test_packed_and_padded_batches_give_the_same_loss_and_gradients(
    tmp_path: Path, size: int
) -> None:
    model_dir = build_model_dir(tmp_path)
    settings = make_settings(num_updates=1)
    packed, padded = make_learner(model_dir), make_learner(model_dir)
    for learner in (packed, padded):
        learner.update(make_batch(seed=4), settings)  # away from the reference
    metrics = packed.update(BATCH, settings).metrics
    loss = padded_step(padded, BATCH, settings, size)
    assert metrics["loss"] == pytest.approx(loss, abs=2e-6)
    expected = padded.gradients()
    for name, gradient in packed.gradients().items():
        torch.testing.assert_close(gradient, expected[name], atol=2e-6, rtol=1e-4)


SMALL = {
    "vocab_size": 48, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
    "num_attention_heads": 2, "num_key_value_heads": 1, "initializer_range": 1.0,
}  # fmt: skip


def build_scaled_logits() -> Any:
    return GraniteForCausalLM(GraniteConfig(**SMALL, logits_scaling=5.0))


def build_capped_logits() -> Any:
    return Gemma2ForCausalLM(
        Gemma2Config(**SMALL, head_dim=16, final_logit_softcapping=5.0, attn_logit_softcapping=None)
    )


@pytest.mark.parametrize(
    ("build", "message"),
    [
        pytest.param(build_scaled_logits, "packed log-probs differ", id="scaled-logits"),
        pytest.param(build_capped_logits, "packed log-probs differ", id="capped-logits"),
    ],
)
def test_a_model_whose_logits_are_more_than_a_matrix_product_is_refused(
    tmp_path: Path, build: Any, message: str
) -> None:
    torch.manual_seed(0)
    build().save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=message):
        make_learner(tmp_path)
