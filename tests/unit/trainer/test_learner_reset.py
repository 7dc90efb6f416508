"""What becomes the reference, what is cleared with it, and what must stay as it is."""

import shutil
from pathlib import Path

import pytest
import torch
from learner_builders import build_model_dir, make_batch, make_settings
from learner_rank import Recording, make_learner
from prorl_trainer.errors import CheckpointError

BATCH = make_batch()


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_model_dir(tmp_path_factory.mktemp("model"))


def learner_after_a_checkpoint(model_dir: Path, shards: Path) -> tuple[Recording, dict[str, str]]:
    """One update, saved to `shards`; one more. Returns the digests of what was saved too."""
    learner = make_learner(model_dir)
    learner.update(BATCH, make_settings())
    learner.save(str(shards))
    saved = learner.parts()
    learner.update(BATCH, make_settings())
    return learner, saved


def reference_weights(learner: Recording) -> dict[str, torch.Tensor]:
    return {name: t.clone() for name, t in learner._reference.state_dict().items()}


def policy_weights(learner: Recording) -> dict[str, torch.Tensor]:
    return {name: t.clone() for name, t in learner._policy.state_dict().items()}


def assert_bit_equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> None:
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_the_current_policy_becomes_the_reference_and_nothing_else_moves(model_dir: Path) -> None:
    learner = make_learner(model_dir)
    learner.update(BATCH, make_settings())
    before = learner.parts()
    learner.reset_reference()
    after = learner.parts()
    assert_bit_equal(reference_weights(learner), policy_weights(learner))
    assert after["reference"] != before["reference"]
    assert (after["policy"], after["optimizer"]) == (before["policy"], before["optimizer"])


@pytest.mark.parametrize("tied", [True, False])
def test_the_policy_of_a_checkpoint_becomes_the_reference(tmp_path: Path, tied: bool) -> None:
    directory = build_model_dir(tmp_path / "model", tied=tied)
    learner = make_learner(directory)
    learner.update(BATCH, make_settings())
    then = policy_weights(learner)
    learner.save(str(tmp_path / "shards"))
    learner.update(BATCH, make_settings())
    before = learner.parts()
    learner.reset_reference(str(tmp_path / "shards"))
    after = learner.parts()
    assert_bit_equal(reference_weights(learner), then)
    assert (after["policy"], after["optimizer"]) == (before["policy"], before["optimizer"])


def test_a_new_reference_stays_frozen_and_apart_from_the_policy(
    model_dir: Path, tmp_path: Path
) -> None:
    learner, _ = learner_after_a_checkpoint(model_dir, tmp_path)
    for source in (None, str(tmp_path)):
        learner.reset_reference(source)
        before = learner.parts()["reference"]
        learner.update(BATCH, make_settings())
        assert learner.parts()["reference"] == before


@pytest.mark.parametrize("from_checkpoint", [False, True])
def test_a_cleared_optimizer_starts_as_a_new_one(
    model_dir: Path, tmp_path: Path, from_checkpoint: bool
) -> None:
    learner, _ = learner_after_a_checkpoint(model_dir, tmp_path)
    before = learner.parts()
    learner.reset_reference(str(tmp_path) if from_checkpoint else None, clear_optimizer=True)
    states = list(learner._optimizer.state.values())
    assert len(states) == len(list(learner._policy.parameters()))
    for state in states:
        assert state.keys() == {"step", "exp_avg", "exp_avg_sq"}
        assert not any(tensor.any() for tensor in state.values())
    assert learner.parts()["policy"] == before["policy"]


def test_the_first_step_after_clearing_is_adams_first_step(model_dir: Path) -> None:
    """Adam's first step is lr·sign(gradient): a counter or a moment that stayed would shrink it."""
    learner = make_learner(model_dir)
    for _ in range(3):
        learner.update(BATCH, make_settings())
    learner.reset_reference(clear_optimizer=True)
    before = learner.weights()
    learner.update(BATCH, make_settings(num_updates=1, learning_rate=1e-2))
    gradients = learner.gradients()
    for name, after in learner.weights().items():
        gradient = gradients[f"hf.{name}"]
        moved = (after - before[name])[gradient.abs() > 1e-5]
        expected = -1e-2 * gradient[gradient.abs() > 1e-5].sign()
        torch.testing.assert_close(moved, expected, atol=2e-5, rtol=0)


def damage(shards: Path, how: str) -> None:
    shard = next(p for p in shards.iterdir() if p.suffix == ".distcp")
    metadata = shards / ".metadata"
    match how:
        case "missing-shard":
            shard.unlink()
        case "short-shard":
            shard.write_bytes(shard.read_bytes()[: shard.stat().st_size // 50])
        case "garbled-metadata":
            metadata.write_bytes(b"\0" + metadata.read_bytes()[1:])
        case "no-directory":
            shutil.rmtree(shards)


@pytest.mark.parametrize(
    "how", ["missing-shard", "short-shard", "garbled-metadata", "no-directory"]
)
def test_a_damaged_source_changes_nothing(model_dir: Path, tmp_path: Path, how: str) -> None:
    learner, _ = learner_after_a_checkpoint(model_dir, tmp_path / "shards")
    before = learner.state_digest()
    damage(tmp_path / "shards", how)
    with pytest.raises(CheckpointError, match="cannot be loaded"):
        learner.reset_reference(str(tmp_path / "shards"), clear_optimizer=True)
    assert learner.state_digest() == before


def test_a_checkpoint_of_another_model_changes_nothing(model_dir: Path, tmp_path: Path) -> None:
    other = build_model_dir(tmp_path / "model", hidden_size=32)
    make_learner(other).save(str(tmp_path / "shards"))
    learner = make_learner(model_dir)
    before = learner.state_digest()
    with pytest.raises(CheckpointError, match="cannot be loaded"):
        learner.reset_reference(str(tmp_path / "shards"), clear_optimizer=True)
    assert learner.state_digest() == before
