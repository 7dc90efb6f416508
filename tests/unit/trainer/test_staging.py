"""What is written is what was staged, whatever the learner does meanwhile."""

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from learner_builders import build_model_dir, make_batch, make_settings
from learner_rank import Recording
from prorl_api.spec_roles import Precision
from prorl_trainer.learn.shards import WRITER_NICE, _give_way
from prorl_trainer.learn.staging import Staging
from two_ranks import rank_settings


@pytest.fixture(params=list(Precision))
def learner(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Recording]:
    """In bf16 even one rank holds shards."""
    model_dir = build_model_dir(tmp_path / "model")
    made = Recording(rank_settings(model_dir, 0, 1, 0, precision=request.param))
    yield made
    made.close()


def test_a_checkpoint_is_of_the_moment_when_it_was_staged(
    learner: Recording, tmp_path: Path
) -> None:
    learner.save(str(tmp_path / "earlier"))
    learner.update(make_batch(), make_settings())
    learner.reset_reference()
    learner.update(make_batch(seed=2), make_settings())
    staged = learner.state_digest()
    learner.stage()
    learner.update(make_batch(seed=3), make_settings())
    learner.reset_reference(clear_optimizer=True)
    assert learner.state_digest() != staged
    learner.write(str(tmp_path / "shards"))
    learner.load(str(tmp_path / "shards"))
    assert learner.state_digest() == staged


def test_a_reference_that_was_loaded_or_reset_since_the_last_save_is_staged_anew(
    learner: Recording, tmp_path: Path
) -> None:
    learner.save(str(tmp_path / "first"))
    learner.update(make_batch(), make_settings())
    learner.reset_reference()
    learner.save(str(tmp_path / "reset"))
    reset = learner.parts()["reference"]
    learner.load(str(tmp_path / "first"))
    first = learner.parts()["reference"]
    learner.save(str(tmp_path / "again"))
    for place, expected in (("reset", reset), ("again", first)):
        learner.load(str(tmp_path / place))
        assert learner.parts()["reference"] == expected
    assert first != reset


def test_training_goes_on_bit_for_bit_while_a_checkpoint_is_written(
    learner: Recording, tmp_path: Path
) -> None:
    learner.save(str(tmp_path / "start"))
    learner.update(make_batch(), make_settings())
    undisturbed = learner.state_digest()
    learner.load(str(tmp_path / "start"))
    writer = threading.Thread(target=learner.write, args=(str(tmp_path / "shards"),))
    writer.start()
    learner.update(make_batch(), make_settings())
    writer.join()
    assert learner.state_digest() == undisturbed


def test_the_writer_gives_way_and_nobody_else_does() -> None:
    def priority() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    before = priority()
    with ThreadPoolExecutor(1, initializer=_give_way) as writer:
        assert writer.submit(priority).result() == min(19, before + WRITER_NICE)
        writer.submit(_give_way).result()
        assert writer.submit(priority).result() == min(19, before + 2 * WRITER_NICE)
    assert priority() == before


def test_the_same_memory_is_used_again() -> None:
    staging, weights = Staging(), torch.arange(4.0)
    first = staging.take({"a": {"b": weights}, "steps": [1]})
    weights += 1
    second = staging.take({"a": {"b": weights}, "steps": [1]})
    assert second["a"]["b"].data_ptr() == first["a"]["b"].data_ptr() != weights.data_ptr()
    assert torch.equal(second["a"]["b"], weights)


def test_lists_of_a_state_are_copied_too() -> None:
    groups = [{"lr": 0.1}]
    staged = Staging().take({"param_groups": groups})
    groups[0]["lr"] = 0.2
    assert staged == {"param_groups": [{"lr": 0.1}]}
