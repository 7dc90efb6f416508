"""What is written is what was staged, whatever the learner does meanwhile."""

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

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


class Uncopyable:
    """In a state: there is no memory for it."""

    def __deepcopy__(self, _: object) -> None:
        raise MemoryError("no room")


class SlowStaging:
    """Tensors are copied when they may be; `awaited` tells that somebody waits for that."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.may_copy, self.awaited = threading.Event(), threading.Event()
        copy, whole = Staging._copy, Staging.whole

        def slow_copy(staging: Staging, name: str, value: torch.Tensor) -> torch.Tensor:
            assert self.may_copy.wait(LONGEST_WAIT_S)
            return copy(staging, name, value)

        def seen(staging: Staging) -> dict[str, Any]:
            if not staging._copying.done():
                self.awaited.set()
            return whole(staging)

        patch.setattr(Staging, "_copy", slow_copy)
        patch.setattr(Staging, "whole", seen)


def staged(staging: Staging, state: dict[str, Any]) -> dict[str, Any]:
    """Its copy."""
    staging.begin(state)
    return staging.whole()


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


CHANGES: dict[str, Callable[[Recording, Path], object]] = {
    "update": lambda learner, _: learner.update(make_batch(seed=2), make_settings()),
    "reset": lambda learner, _: learner.reset_reference(clear_optimizer=True),
    "load": lambda learner, start: learner.load(str(start)),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_changes_the_state_waits_until_all_of_it_is_copied(
    learner: Recording,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Recording, Path], object],
) -> None:
    learner.save(str(tmp_path / "start"))
    learner.update(make_batch(), make_settings())
    expected = learner.state_digest()
    slow = SlowStaging(monkeypatch)
    learner.stage()
    with ThreadPoolExecutor(1) as loop:
        changing = loop.submit(change, learner, tmp_path / "start")
        assert slow.awaited.wait(LONGEST_WAIT_S)
        assert learner.state_digest() == expected
        slow.may_copy.set()
        changing.result()
    assert learner.state_digest() != expected
    learner.write(str(tmp_path / "shards"))
    learner.load(str(tmp_path / "shards"))
    assert learner.state_digest() == expected


def test_the_same_memory_is_used_again() -> None:
    staging, weights = Staging(), torch.arange(4.0)
    first = staged(staging, {"a": {"b": weights}, "steps": [1]})
    weights += 1
    second = staged(staging, {"a": {"b": weights}, "steps": [1]})
    assert second["a"]["b"].data_ptr() == first["a"]["b"].data_ptr() != weights.data_ptr()
    assert torch.equal(second["a"]["b"], weights)


def test_lists_of_a_state_are_copied_too() -> None:
    groups = [{"lr": 0.1}]
    found = staged(Staging(), {"param_groups": groups})
    groups[0]["lr"] = 0.2
    assert found == {"param_groups": [{"lr": 0.1}]}


def test_what_the_copying_fails_with_is_raised_by_who_needs_the_copy() -> None:
    staging = Staging()
    staging.begin({"policy": Uncopyable()})
    for _ in range(2):
        with pytest.raises(MemoryError, match="no room"):
            staging.whole()
