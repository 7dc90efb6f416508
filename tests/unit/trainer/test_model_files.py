"""A model's files are a stranger's: whatever is wrong with them is one ModelError."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from prorl_api.spec_algorithm import SamplingSpec
from prorl_trainer.errors import ConfigError, ModelError
from prorl_trainer.learn.policy import load_policy
from prorl_trainer.model.materialise import check_context, load_tokenizer
from tiny_model import make_model


def edit(name: str, **changes: object) -> Callable[[Path], None]:
    def apply(directory: Path) -> None:
        path = directory / name
        document = json.loads(path.read_text()) | changes
        path.write_text(json.dumps({k: v for k, v in document.items() if v is not None}))

    return apply


def write(name: str, data: bytes) -> Callable[[Path], object]:
    return lambda directory: (directory / name).write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (write("config.json", b"[]"), "cannot be loaded"),
        (write("tokenizer.json", b'{"version": "1.0"}'), "cannot be loaded"),
        (write("tokenizer.json", b"{"), "cannot be loaded"),
        (edit("tokenizer_config.json", eos_token=None), "has no end-of-sequence token"),
        (
            write("chat_template.jinja", b"{{ raise_exception('roles must alternate') }}"),
            "chat template refuses a message of a user: roles must alternate",
        ),
    ],
)
def test_a_broken_tokenizer_is_a_model_error_in_one_line(
    tmp_path: Path, damage: Callable[[Path], object], words: str
) -> None:
    damage(make_model(tmp_path))
    with pytest.raises(ModelError, match=words) as caught:
        load_tokenizer(tmp_path)
    assert "\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (write("model.safetensors", b"x" * 5000), "cannot be loaded"),
        (write("config.json", b"[]"), "cannot be loaded"),
        (edit("config.json", model_type="llamaa"), "llamaa"),
        (edit("config.json", hidden_size=48), "cannot be loaded"),
        (edit("config.json", num_hidden_layers=3), r"lacks 9 tensors.*model\.layers\.2"),
    ],
)
def test_broken_weights_are_a_model_error_in_one_line(
    tmp_path: Path, damage: Callable[[Path], object], words: str
) -> None:
    damage(make_model(tmp_path))
    with pytest.raises(ModelError, match=words) as caught:
        load_policy(tmp_path, torch.device("cpu"))
    assert "\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_what_the_context_cannot_hold_is_refused_with_both_numbers(tmp_path: Path) -> None:
    model_dir = make_model(tmp_path)
    check_context(model_dir, SamplingSpec(max_prompt_tokens=500, max_response_tokens=12))
    with pytest.raises(ConfigError, match=r"500 \+ maxResponseTokens 13 .* 512") as caught:
        check_context(model_dir, SamplingSpec(max_prompt_tokens=500, max_response_tokens=13))
    assert str(caught.value).startswith("spec.algorithm.sampling: ")


def test_a_scaled_or_unknown_context_is_left_to_the_engine(tmp_path: Path) -> None:
    sampling = SamplingSpec(max_prompt_tokens=500, max_response_tokens=13)
    model_dir = make_model(tmp_path)
    for scaling in ({"rope_scaling": {"factor": 4}}, {"max_position_embeddings": None}):
        edit("config.json", **scaling)(model_dir)
        check_context(model_dir, sampling)
