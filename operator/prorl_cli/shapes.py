"""Shapes of a Hugging Face causal language model, and what follows from them by counting. Pure.

Legend: V vocabulary, D hidden size, A attention width (heads x head size), K key or value width
(key-value heads x head size), F intermediate size, L layers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

BIASED = {"llama": False, "mistral": False, "qwen2": True, "qwen3": False}
"""Model types that can be counted -> whether their query, key and value have a bias."""


class ShapeError(ValueError):
    """A config.json that cannot be counted; names the key, the value and what may be there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelShape:
    """A dense decoder with gated MLP and RMS norms."""

    model_type: str
    vocabulary: int
    hidden: int
    layers: int
    heads: int
    key_value_heads: int
    head_size: int
    intermediate: int
    tied: bool
    """The output head is the embedding."""

    @property
    def attention_width(self) -> int:
        """A."""
        return self.heads * self.head_size

    @property
    def key_value_width(self) -> int:
        """K."""
        return self.key_value_heads * self.head_size

    @property
    def embedding_parameters(self) -> int:
        """V x D."""
        return self.vocabulary * self.hidden

    @property
    def layer_parameters(self) -> int:
        """q, o: D x A each; k, v: D x K each; gate, up, down: D x F each; two norms of D; biases of
        q, k, v (qwen2); norms of q and k over a head (qwen3)."""
        a, k, d = self.attention_width, self.key_value_width, self.hidden
        weights = 2 * d * a + 2 * d * k + 3 * d * self.intermediate + 2 * d
        biases = a + 2 * k if BIASED[self.model_type] else 0
        head_norms = 2 * self.head_size if self.model_type == "qwen3" else 0
        return weights + biases + head_norms

    @property
    def root_parameters(self) -> int:
        """Embedding, head unless tied, last norm: everything outside the layers."""
        return self.embedding_parameters * (1 if self.tied else 2) + self.hidden

    @property
    def parameters(self) -> int:
        """All of them."""
        return self.root_parameters + self.layers * self.layer_parameters

    def saved_bytes_per_token(self, element_bytes: int) -> int:
        """What autograd keeps of one token in one layer for the backward pass.

        Two norms keep D in fp32, which they compute in, and 2 x D each; attention keeps query and
        output (A each), key and value (K each) and a log-sum-exp per head in fp32; the gated MLP
        keeps 4 x F. Counted on transformers' Llama and Qwen2, in fp32 and bf16, with
        torch.autograd.graph.saved_tensors_hooks.
        """
        norms = 2 * (4 + 2 * element_bytes) * self.hidden
        attention = element_bytes * (2 * self.attention_width + 2 * self.key_value_width)
        return norms + attention + element_bytes * 4 * self.intermediate + 4 * self.heads + 8

    def cache_bytes_per_token(self, element_bytes: int) -> int:
        """Keys and values of one token in all layers."""
        return 2 * self.layers * self.key_value_width * element_bytes


KNOWN_MODELS: Mapping[str, ModelShape] = {
    "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B": ModelShape(
        model_type="qwen2",
        vocabulary=151_936,
        hidden=1536,
        layers=28,
        heads=12,
        key_value_heads=2,
        head_size=128,
        intermediate=8960,
        tied=False,
    ),
    "Qwen/Qwen2.5-1.5B": ModelShape(
        model_type="qwen2",
        vocabulary=151_936,
        hidden=1536,
        layers=28,
        heads=12,
        key_value_heads=2,
        head_size=128,
        intermediate=8960,
        tied=True,
    ),
}
"""By hf:// name, as their config.json has it; others need --config."""


def parse_config(config: Mapping[str, Any]) -> ModelShape:
    """Reads a transformers config.json. Raises ShapeError."""
    kind = config.get("model_type")
    if kind not in BIASED:
        known = ", ".join(sorted(BIASED))
        raise ShapeError(f"model_type is {kind!r}; shapes can be counted for {known}")
    heads, hidden = _count(config, "num_attention_heads"), _count(config, "hidden_size")
    return ModelShape(
        model_type=kind,
        vocabulary=_count(config, "vocab_size"),
        hidden=hidden,
        layers=_count(config, "num_hidden_layers"),
        heads=heads,
        key_value_heads=_count(config, "num_key_value_heads", default=heads),
        head_size=_count(config, "head_dim", default=hidden // heads),
        intermediate=_count(config, "intermediate_size"),
        tied=bool(config.get("tie_word_embeddings", False)),
    )


def _count(config: Mapping[str, Any], key: str, default: int | None = None) -> int:
    value = config.get(key)
    value = default if value is None else value
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ShapeError(f"{key} is {value!r}, must be an integer of at least 1")
    return value
