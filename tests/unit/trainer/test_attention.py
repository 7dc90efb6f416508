"""Attention over packed sequences: each sees what it would see alone, for every kind of model."""

import inspect
from pathlib import Path
from typing import Any

import pytest
import torch
from prorl_trainer.errors import ModelError
from prorl_trainer.learn import attention
from prorl_trainer.learn.attention import Packing, find_packing, packed_attention
from prorl_trainer.learn.policy import load_policy
from torch import Tensor
from torch.nn.attention.varlen import varlen_attn
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    LlamaConfig,
    MistralConfig,
    Qwen2Config,
    Qwen3Config,
)

torch.set_num_threads(1)

SMALL: dict[str, Any] = {
    "vocab_size": 48, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "initializer_range": 0.3,
}  # fmt: skip
CONFIGS = {
    "llama": LlamaConfig(**SMALL),
    "one-head-each": LlamaConfig(**SMALL | {"num_key_value_heads": 4}),
    "mistral-window": MistralConfig(**SMALL, sliding_window=3),
    "qwen2": Qwen2Config(**SMALL),
    "qwen2-window-in-some-layers": Qwen2Config(
        **SMALL, use_sliding_window=True, sliding_window=4, max_window_layers=1
    ),
    "qwen3": Qwen3Config(**SMALL),
}
LENGTHS = (7, 1, 12, 5)


def save(config: Any, directory: Path) -> Path:
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config).save_pretrained(directory)
    return directory


def packed_ids(lengths: tuple[int, ...] = LENGTHS) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(0, 48, (sum(lengths),), generator=generator)
    return ids, torch.cat([torch.arange(n) for n in lengths])


@pytest.mark.parametrize("name", list(CONFIGS))
def test_packed_sequences_get_the_models_own_values_and_gradients(
    tmp_path: Path, name: str
) -> None:
    directory = save(CONFIGS[name], tmp_path)
    policy = load_policy(directory, torch.device("cpu"))
    assert policy.hf.config._attn_implementation == attention.NAME
    own = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32)
    ids, positions = packed_ids()
    found = policy.hf.model(
        input_ids=ids[None], position_ids=positions[None], use_cache=False,
        packing=find_packing(positions),
    ).last_hidden_state[0]  # fmt: skip
    expected = torch.cat(
        [
            own.model(input_ids=part[None], use_cache=False).last_hidden_state[0]
            for part in ids.split(LENGTHS)
        ]
    )
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-4)
    weights = torch.randn(found.shape, generator=torch.Generator().manual_seed(2))
    for hidden in (found, expected):
        (hidden * weights).sum().backward()
    for (_, a), (_, b) in zip(
        policy.hf.model.named_parameters(), own.model.named_parameters(), strict=True
    ):
        torch.testing.assert_close(a.grad, b.grad, atol=1e-4, rtol=1e-3)


def test_a_sequence_gives_the_same_bits_whatever_it_is_packed_with() -> None:
    query, key, value = torch.randn(3, 1, 4, sum(LENGTHS), 8).unbind(0)
    _, positions = packed_ids()
    whole, _ = packed_attention(None, query, key, value, None, packing=find_packing(positions))
    parts = [tensor.split(LENGTHS, dim=2) for tensor in (query, key, value)]
    alone = [packed_attention(None, q, k, v, None)[0] for q, k, v in zip(*parts, strict=True)]
    assert torch.equal(whole, torch.cat(alone, dim=1))


def test_the_bounds_are_those_of_the_sequences() -> None:
    packing = find_packing(packed_ids()[1])
    assert packing.bounds == (0, 7, 8, 20, 25)
    assert packing.on_device.tolist() == [0, 7, 8, 20, 25]
    assert packing.on_device.dtype == torch.int32
    assert packing.longest == 12


def test_a_term_that_would_be_left_out_is_refused(tmp_path: Path) -> None:
    config = Gemma2Config(**SMALL, attn_logit_softcapping=5.0, final_logit_softcapping=None)
    with pytest.raises(ModelError, match="its attention has softcap"):
        load_policy(save(config, tmp_path), torch.device("cpu"))


def test_a_mask_is_refused_not_ignored() -> None:
    query = torch.zeros(1, 2, 3, 8)
    with pytest.raises(ModelError, match="a mask or a cache"):
        packed_attention(None, query, query, query, torch.ones(1, 1, 3, 3))


def test_a_model_with_other_kinds_of_layers_keeps_its_own_attention() -> None:
    hf = AutoModelForCausalLM.from_config(LlamaConfig(**SMALL))
    hf.config.layer_types = ["full_attention", "chunked_attention"]
    before = hf.config._attn_implementation
    attention.use_packed_attention(hf)
    assert hf.config._attn_implementation == before != attention.NAME


def test_the_gpu_kernel_is_called_as_the_installed_torch_declares_it() -> None:
    """Not the numbers, which need a GPU: arguments and shapes, on tensors without data."""
    named = inspect.signature(varlen_attn).parameters
    assert {"scale", "window_size", "enable_gqa"} <= named.keys()
    assert list(named)[:7] == ["query", "key", "value", "cu_seq_q", "cu_seq_k", "max_q", "max_k"]
    query, key, value = (
        torch.empty(1, count, 12, 64, device="meta", dtype=torch.bfloat16) for count in (4, 2, 2)
    )
    packing = Packing((0, 7, 12), torch.empty(3, device="meta", dtype=torch.int32))
    for window in (12, 3):
        out = attention._kernel((query, key, value), packing, window, 0.125)
        assert out.shape == (1, 12, 4, 64)
        assert out.dtype == torch.bfloat16
