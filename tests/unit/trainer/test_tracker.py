"""What stays of a run, also when it was cut off or the disk is full."""

import json
from pathlib import Path

import pytest
from full_disk import full_disk
from prorl_trainer.errors import StorageError
from prorl_trainer.observe.tracker import Tracker
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def scalars(directory: Path, name: str) -> list[tuple[int, float]]:
    accumulator = EventAccumulator(str(directory / "tensorboard")).Reload()
    return [(event.step, event.value) for event in accumulator.Scalars(name)]


def test_steps_that_a_crash_has_left_behind_are_hidden_in_tensorboard(tmp_path: Path) -> None:
    first = Tracker(tmp_path, attempt=1, step=0)
    for step in (1, 2, 3):
        first.record("step", step, {"kl": step, "reason": "text"}, now=100.0 + step)
    second = Tracker(tmp_path, attempt=2, step=1)
    second.record("step", 2, {"kl": 20.0}, now=200.0)
    second.close()
    assert scalars(tmp_path, "step/kl") == [(1, 1.0), (2, 20.0)]
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [(line["attempt"], line["step"]) for line in lines] == [(1, 1), (1, 2), (1, 3), (2, 2)]


def test_a_reset_is_marked_in_tensorboard_with_its_reason(tmp_path: Path) -> None:
    tracker = Tracker(tmp_path, attempt=1, step=0)
    tracker.record("reset", 4, {"reference_version": 2, "reason": "Requested"}, now=1.0)
    tracker.close()
    assert scalars(tmp_path, "reset/reference_version") == [(4, 2.0)]
    accumulator = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    (mark,) = accumulator.Tensors("reset/reason/text_summary")
    assert (mark.step, mark.tensor_proto.string_val[0]) == (4, b"Requested")


def test_a_line_that_a_crash_has_cut_does_not_spoil_the_next(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"kind": "st')
    tracker = Tracker(tmp_path, attempt=2, step=0)
    tracker.record("start", 0, {}, now=1.0)
    tracker.close()
    assert json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[1])["kind"] == "start"


def test_every_record_that_a_full_disk_refuses_is_a_storage_error(tmp_path: Path) -> None:
    tracker = Tracker(tmp_path, attempt=1, step=0)
    with full_disk(2000):
        for step in range(10):
            tracker.record("step", step, {}, now=1.0)
        for step in range(50):  # more than any queue holds
            with pytest.raises(StorageError, match=r"cannot be written: .* checkpoint stands"):
                tracker.record("step", step, {"text": "x" * 2000, "a": 1.0, "b": 2.0}, now=1.0)
        tracker.close()


def test_a_place_that_cannot_be_written_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="Not a directory"):
        Tracker(tmp_path / "file" / "run", attempt=1, step=0)
