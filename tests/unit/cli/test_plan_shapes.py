"""What prorl plan counts of a model, against transformers, autograd and a real learner."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from learner_builders import build_model_dir, make_batch, make_settings
from prorl_cli.shapes import KNOWN_MODELS, ShapeError, parse_config
from prorl_trainer.learn.learner import Learner, RankSettings
from transformers import AutoConfig, AutoModelForCausalLM

CONFIGS: dict[str, dict[str, Any]] = {
    "llama, untied, wide heads": {"model_type": "llama", "head_dim": 24},
    "llama, tied": {"model_type": "llama", "tie_word_embeddings": True},
    "mistral": {"model_type": "mistral", "head_dim": 16},
    "qwen2, with biases": {"model_type": "qwen2"},
    "qwen3, with norms of heads": {"model_type": "qwen3", "head_dim": 32},
}


def make_config(**changes: Any) -> dict[str, Any]:
    values = {
        "vocab_size": 97, "hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4,
        "num_key_value_heads": 2, "intermediate_size": 160, "tie_word_embeddings": False,
    }  # fmt: skip
    return values | changes


def transformers_config(config: dict[str, Any]) -> Any:
    values = {k: v for k, v in config.items() if k != "model_type"}
    return AutoConfig.for_model(config["model_type"], **values)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_parameters_are_those_that_transformers_makes(config: dict[str, Any]) -> None:
    config = make_config(**config)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(transformers_config(config))
    assert parse_config(config).parameters == sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize(("name", "count"), [
    ("deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B", 1_777_088_000),
    ("Qwen/Qwen2.5-1.5B", 1_543_714_304),
])  # fmt: skip
def test_known_models_have_their_published_number_of_parameters(name: str, count: int) -> None:
    assert KNOWN_MODELS[name].parameters == count


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", ["llama", "qwen2"])
def test_saved_activations_are_what_autograd_keeps_of_one_more_layer(
    kind: str, dtype: torch.dtype
) -> None:
    config = make_config(model_type=kind, head_dim=24)
    tokens = 48
    counted = parse_config(config).saved_bytes_per_token(dtype.itemsize) * tokens
    assert saved_bytes(config, 3, tokens, dtype) - saved_bytes(config, 2, tokens, dtype) == counted


def saved_bytes(config: dict[str, Any], layers: int, tokens: int, dtype: torch.dtype) -> int:
    """Distinct memory that the forward pass keeps, the parameters left out."""
    model = AutoModelForCausalLM.from_config(
        transformers_config(config | {"num_hidden_layers": layers}), dtype=dtype
    )
    parameters = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept: dict[int, torch.Tensor] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        address = tensor.untyped_storage().data_ptr()
        if address not in parameters:
            kept[address] = tensor
        return tensor

    ids = torch.arange(tokens)[None] % config["vocab_size"]
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        model.model(input_ids=ids, position_ids=torch.arange(tokens)[None], use_cache=False)
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


def test_a_learner_holds_exactly_the_weights_gradients_moments_and_reference(
    tmp_path: Path,
) -> None:
    learner = Learner(
        RankSettings(
            rank=0, world_size=1, master_address="", master_port=0,
            model_dir=str(build_model_dir(tmp_path)), seed=0, device="cpu",
        )
    )  # fmt: skip
    learner.update(make_batch(), make_settings())
    policy = list(learner._policy.parameters())
    moments = [s[k] for s in learner._optimizer.state.values() for k in ("exp_avg", "exp_avg_sq")]
    tensors = [*policy, *learner._reference.parameters(), *moments]
    tensors += [p.grad for p in policy if p.grad is not None]
    shape = parse_config(json.loads((tmp_path / "config.json").read_bytes()))
    # As budget_roles.trainer counts them: 4 of each, moments twice.
    assert sum(t.nbytes for t in tensors) == (4 + 4 + 8 + 4) * shape.parameters
    learner.stage()
    learner._staging.whole()
    staged = [t for t in learner._staging._held.values() if t.ndim]
    # As budget_roles.staging counts them; each parameter's step counter is left out.
    assert sum(t.nbytes for t in staged) == 16 * shape.parameters


@pytest.mark.parametrize(("changes", "says"), [
    ({"model_type": "mamba"}, "model_type is 'mamba'; shapes can be counted for llama, mistral"),
    ({"model_type": "llama", "vocab_size": 0}, "vocab_size is 0, must be an integer of at least 1"),
    ({"model_type": "llama", "hidden_size": None}, "hidden_size is None"),
])  # fmt: skip
def test_a_config_that_cannot_be_counted_is_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ShapeError, match=says):
        parse_config(make_config(**changes))
