"""Precision and activation checkpointing: what they change, and what they must not."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from learner_builders import build_model_dir, make_batch, make_settings
from learner_rank import Recording
from prorl_api.spec_roles import Precision, TrainerSpec
from prorl_trainer.learn.policy import full
from torch import Tensor
from two_ranks import rank_settings

BATCH = make_batch()
ONE_UPDATE = make_settings(num_updates=1)

Make = Callable[..., Recording]


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_model_dir(tmp_path_factory.mktemp("model"), initializer_range=0.05)


@pytest.fixture
def make(model_dir: Path) -> Iterator[Make]:
    """Makes learners that are closed after the test: a rank in bf16 has a process group."""
    made: list[Recording] = []

    def make_one(**options: Any) -> Recording:
        made.append(Recording(rank_settings(model_dir, 0, 1, 0, **options)))
        return made[-1]

    yield make_one
    for learner in made:
        learner.close()


def relative_distance(a: dict[str, Tensor], b: dict[str, Tensor]) -> float:
    assert a.keys() == b.keys()
    difference = sum(float((a[name] - b[name]).square().sum()) for name in a)
    return (difference / sum(float(b[name].square().sum()) for name in b)) ** 0.5


def test_bf16_computes_in_bf16_and_agrees_with_fp32_to_its_rounding(make: Make) -> None:
    exact, rounded = make(), make(precision=Precision.BF16)
    metrics = [each.update(BATCH, ONE_UPDATE).metrics for each in (exact, rounded)]
    distance = relative_distance(rounded.gradients(), exact.gradients())
    assert 1e-4 < distance < 0.02, "2^-9 is the rounding of bf16"
    assert metrics[1]["entropy"] == pytest.approx(metrics[0]["entropy"], rel=2e-3)
    assert metrics[1]["entropy"] != metrics[0]["entropy"]


def test_bf16_keeps_old_current_and_reference_alike_to_the_last_bit(make: Make) -> None:
    learner = make(precision=Precision.BF16)
    metrics = learner.update(BATCH, ONE_UPDATE).metrics
    assert metrics["ppo_kl"] == metrics["kl"] == 0.0
    learner.reset_reference()
    assert learner.update(make_batch(seed=3), ONE_UPDATE).metrics["kl"] == 0.0


def test_bf16_leaves_weights_gradients_and_moments_in_fp32(make: Make) -> None:
    learner = make(precision=Precision.BF16)
    learner.update(BATCH, ONE_UPDATE)
    kept = [*learner.weights().values(), *learner.gradients().values()]
    kept += [full(t) for state in learner._optimizer.state.values() for t in state.values()]
    assert {tensor.dtype for tensor in kept} == {torch.float32}


def test_an_update_far_below_the_rounding_of_bf16_is_not_lost(make: Make) -> None:
    learner = make(precision=Precision.BF16)
    before = learner.weights()
    learner.update(BATCH, make_settings(num_updates=1, learning_rate=1e-6))
    moved = [
        ((after - before[name]).abs()[learner.gradients()[f"hf.{name}"].abs() > 1e-5])
        for name, after in learner.weights().items()
    ]
    changes = torch.cat([m.flatten() for m in moved])
    # Norm weights are 1, where fp32 itself rounds to 1.2e-7.
    assert changes.min() > 8e-7
    assert changes.max() < 1.2e-6


def test_a_checkpoint_does_not_depend_on_the_precision(make: Make, tmp_path: Path) -> None:
    exact, rounded = make(), make(precision=Precision.BF16)
    for learner, other, name in ((exact, rounded, "a"), (rounded, exact, "b")):
        learner.update(BATCH, ONE_UPDATE)
        learner.save(str(tmp_path / name))
        other.load(str(tmp_path / name))
        assert other.state_digest() == learner.state_digest()


@pytest.mark.parametrize("precision", list(Precision))
def test_activation_checkpointing_gives_the_same_bits(make: Make, precision: Precision) -> None:
    plain = make(precision=precision)
    thrifty = make(precision=precision, activation_checkpointing=True)
    settings = make_settings(entropy_coefficient=0.1)
    assert plain.update(BATCH, settings) == thrifty.update(BATCH, settings)
    assert plain.state_digest() == thrifty.state_digest()


def bytes_kept_for_backward(learner: Recording, tokens: int) -> int:
    """By autograd, in a forward pass; each storage once, weights not counted."""
    weights = {p.untyped_storage().data_ptr() for p in learner._policy.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    ids, positions = torch.arange(tokens) % 40, torch.arange(tokens)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        learner._policy(ids, positions, positions[:-1], ids[1:], 1.0)
    return sum(kept.values())


def test_activation_checkpointing_keeps_little_more_than_a_layers_input(
    make: Make, model_dir: Path
) -> None:
    tokens, width, layers = 128, 64, 2
    plain = bytes_kept_for_backward(make(), tokens)
    thrifty = bytes_kept_for_backward(make(activation_checkpointing=True), tokens)
    inputs = tokens * width * 4 * layers
    # Beside the layers: embedding, last norm and head.
    assert inputs <= thrifty < inputs + 6 * tokens * width * 4
    assert plain > 2.5 * thrifty


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (TrainerSpec(), Precision.FP32),
        (TrainerSpec(gpus_per_replica=8), Precision.BF16),
        (TrainerSpec(gpus_per_replica=8, precision=Precision.FP32), Precision.FP32),
        (TrainerSpec(precision=Precision.BF16), Precision.BF16),
    ],
)
def test_absent_precision_follows_the_device(spec: TrainerSpec, expected: Precision) -> None:
    assert spec.compute_precision is expected
