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
from prorl_trainer.learn.shards import MAX_NICE, WRITER_NICE, write_shards
from prorl_trainer.learn.staging import Staging
from two_ranks import rank_settings

LONGEST_WAIT_S = 60


class Gate:
    """In a state: whoever writes it waits here."""

    def __init__(self) -> None:
        self.reached, self.opened = threading.Event(), threading.Event()

    def __reduce__(self) -> tuple[type, tuple[()]]:
        self.reached.set()
        assert self.opened.wait(LONGEST_WAIT_S)
        return Gate, ()


class Probe:
    """In a state: remembers how nice the threads are that write it."""

    def __init__(self) -> None:
        self.priorities: set[int] = set()

    def __reduce__(self) -> tuple[type, tuple[()]]:
        self.priorities.add(priority())
        return Probe, ()


def priority() -> int:
    """Of this thread; 19 is the least."""
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


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
    start = learner.state_digest()
    learner.update(make_batch(), make_settings())
    undisturbed = learner.state_digest()
    learner.load(str(tmp_path / "start"))
    gate = learner.stage_with(Gate())
    with ThreadPoolExecutor(1) as writer:
        writing = writer.submit(learner.write, str(tmp_path / "shards"))
        assert gate.reached.wait(LONGEST_WAIT_S)
        learner.update(make_batch(), make_settings())
        assert not writing.done()
        gate.opened.set()
        writing.result()
    assert learner.state_digest() == undisturbed
    learner.load(str(tmp_path / "shards"))
    assert learner.state_digest() == start


@pytest.mark.parametrize("already", [0, 5, MAX_NICE])
def test_the_writer_gives_way_and_nobody_else_does(already: int, tmp_path: Path) -> None:
    probe, before = Probe(), priority()
    nice = min(MAX_NICE, before + already)

    def write() -> int:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), nice)
        write_shards({"": {"probe": probe}}, str(tmp_path), None)
        return priority()

    with ThreadPoolExecutor(1) as caller:
        assert caller.submit(write).result() == nice
    assert probe.priorities == {min(MAX_NICE, nice + WRITER_NICE)}
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
