"""Trackers beside metrics.jsonl: whatever they do, training goes on and what is lost is counted."""

import json
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest
from export_builders import make_document
from prorl_api.spec_output import TrackingSpec
from prorl_trainer.observe import trackers
from prorl_trainer.observe.forwarder import Forwarder
from prorl_trainer.observe.tracker import Tracker
from prorl_trainer.observe.trackers import Trackers, check_tracking, open_forwarders


class ScriptedSink:
    """Fails at the steps it is told to; waits for `gate` before each record."""

    def __init__(self, fails: tuple[int, ...] = (), gate: threading.Event | None = None) -> None:
        self.fails, self.gate = fails, gate
        self.records: list[tuple[dict[str, float], int]] = []
        self.taken = threading.Event()
        self.closed = False

    def record(self, values: Mapping[str, float], step: int, now: float) -> None:
        self.taken.set()
        if self.gate is not None:
            assert self.gate.wait(10)
        if step in self.fails:
            raise ConnectionError(f"no route\nto host at step {step}")
        self.records.append((dict(values), step))

    def close(self) -> None:
        self.closed = True


class Lost:
    """Counts what a forwarder loses."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]


def test_records_arrive_in_order_and_the_run_is_closed() -> None:
    sink, lost = ScriptedSink(), Lost()
    forwarder = Forwarder("x", lambda: sink, lost)
    for step in range(5):
        forwarder.record({"a": step}, step, now=1.0)
    forwarder.close()
    assert sink.records == [({"a": step}, step) for step in range(5)]
    assert (sink.closed, lost.count) == (True, 0)


def test_what_a_tracker_refuses_is_counted_and_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sink, lost = ScriptedSink(fails=(1, 2)), Lost()
    forwarder = Forwarder("x", lambda: sink, lost)
    for step in range(4):
        forwarder.record({"a": step}, step, now=1.0)
    forwarder.close()
    assert [step for _, step in sink.records] == [0, 3]
    assert lost.count == 2
    (warning,) = warnings_of(caplog)
    assert "tracker=x loses records" in warning
    assert "no route to host at step 1" in warning


def test_a_tracker_that_cannot_be_reached_at_first_is_tried_again() -> None:
    sink, lost, refusals = ScriptedSink(), Lost(), iter([True, True, False])

    def open_sink() -> ScriptedSink:
        if next(refusals):
            raise OSError("unreachable")
        return sink

    forwarder = Forwarder("x", open_sink, lost)
    for step in range(4):
        forwarder.record({}, step, now=1.0)
    forwarder.close()
    assert [step for _, step in sink.records] == [2, 3]
    assert lost.count == 2


def test_a_tracker_that_hangs_holds_nothing_up(caplog: pytest.LogCaptureFixture) -> None:
    gate = threading.Event()
    sink, lost = ScriptedSink(gate=gate), Lost()
    forwarder = Forwarder("x", lambda: sink, lost, size=3)
    forwarder.record({}, 0, now=1.0)
    assert sink.taken.wait(10)
    for step in range(1, 9):  # three wait, five are lost; each call returns
        forwarder.record({}, step, now=1.0)
    assert lost.count == 5
    forwarder.close(timeout_s=0.01)
    assert any("left with records" in warning for warning in warnings_of(caplog))
    gate.set()


def test_an_end_that_fails_or_hangs_is_only_told(caplog: pytest.LogCaptureFixture) -> None:
    class BadEnd(ScriptedSink):
        def close(self) -> None:
            raise RuntimeError("upload failed")

    forwarder = Forwarder("x", BadEnd, Lost())
    forwarder.record({}, 0, now=1.0)
    forwarder.close()
    assert warnings_of(caplog) == ["tracker=x did not end well: upload failed"]


def test_all_get_the_numbers_by_kind_and_the_file_gets_everything(tmp_path: Path) -> None:
    sink = ScriptedSink()
    both = Trackers(Tracker(tmp_path, attempt=1, step=0), [Forwarder("x", lambda: sink, Lost())])
    both.record("start", 0, {}, now=1.0)
    both.record("reset", 3, {"reference_version": 1, "reason": "Interval"}, now=2.0)
    both.record("step", 4, {"kl": 0.5}, now=3.0)
    both.close()
    assert sink.records == [({"reset/reference_version": 1.0}, 3), ({"step/kl": 0.5}, 4)]
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["kind"] for line in lines] == ["start", "reset", "step"]


@pytest.mark.parametrize("name", trackers.PACKAGES)
def test_every_tracker_of_the_spec_gets_a_forwarder_that_opens_with_its_first_record(
    tmp_path: Path, name: str
) -> None:
    fields = {"mlflow": {"uri": "http://m:5000", "experiment": "e"}}
    job = make_document(tracking={name: fields.get(name, {"project": "p"})})
    (forwarder,) = open_forwarders(job, tmp_path, Lost())
    forwarder.close()
    assert list(tmp_path.iterdir()) == []


def test_a_missing_package_is_named_with_its_extra_at_the_start() -> None:
    check_tracking(TrackingSpec())
    assert {f for f in TrackingSpec.model_fields if f != "credentials_secret"} == set(
        trackers.PACKAGES
    )
