"""The tracker libraries themselves, offline: two attempts of a job are one run with one curve."""

import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from prorl_api.spec_output import MlflowSpec, TrackioSpec, WandbSpec
from prorl_trainer.observe.forwarder import Run

UID = "0f6c2f6e-1111-4222-8333-444455556666"
RUN = Run(uid=UID, name="small", config={"algorithm.steps": 9, "algorithm.preset": "prorl-v2"})


def two_attempts(open_sink: Any) -> None:
    """Steps 1 to 3, then a resume from step 2: step 3 is done again."""
    for steps, factor in (((1, 2, 3), 1.0), ((3, 4), 10.0)):
        sink = open_sink()
        for step in steps:
            sink.record({"step/kl": factor * step, "step/loss": 0.5}, step, now=100.0 + step)
        sink.close()


def test_mlflow_goes_on_with_the_run_that_carries_the_jobs_uid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    from prorl_trainer.observe.sinks.mlflow_sink import MlflowClient, MlflowSink

    uri = f"file://{tmp_path}/store"
    spec = MlflowSpec(uri=uri, experiment="prorl")
    two_attempts(lambda: MlflowSink(spec, RUN))
    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("prorl")
    (run,) = client.search_runs([experiment.experiment_id])
    assert (run.info.run_name, run.info.status) == ("small", "FINISHED")
    assert run.data.params["algorithm.steps"] == "9"
    history = client.get_metric_history(run.info.run_id, "step/kl")
    assert [(m.step, m.value) for m in history] == [(1, 1), (2, 2), (3, 3), (3, 30), (4, 40)]
    assert history[-1].timestamp == 104_000

    other = Run(uid="another", name="small", config={})
    MlflowSink(spec, other).close()
    assert len(client.search_runs([experiment.experiment_id])) == 2


TRACKIO = """
import sys
from pathlib import Path
from prorl_api.spec_output import TrackioSpec
from prorl_trainer.observe.sinks.trackio_sink import TrackioSink
sys.path.insert(0, str(Path({here!r})))
from test_trackers import RUN, two_attempts
two_attempts(lambda: TrackioSink(TrackioSpec(project="prorl"), RUN, Path({directory!r})))
from trackio.sqlite_storage import SQLiteStorage
logs = [SQLiteStorage.get_logs("prorl", run) for run in SQLiteStorage.get_runs("prorl")]
print("found", [[(log["step"], log["step/kl"]) for log in one] for one in logs])
"""


def test_trackio_goes_on_with_the_run_of_that_name(tmp_path: Path) -> None:
    """In a process of its own: trackio reads its directory when it is imported."""
    code = TRACKIO.format(here=str(Path(__file__).parent), directory=str(tmp_path))
    environment = {k: v for k, v in os.environ.items() if k != "TRACKIO_DIR"}
    result = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120
    )
    assert result.returncode == 0, result.stderr
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("found")]
    assert line == "found [[(1, 1.0), (2, 2.0), (3, 3.0), (3, 30.0), (4, 40.0)]]"
    assert (tmp_path / "prorl.db").exists()


def test_wandb_writes_both_attempts_under_one_id(tmp_path: Path) -> None:
    import wandb
    from prorl_trainer.observe.sinks.wandb_sink import STEP, WandbSink

    spec = WandbSpec(project="prorl", entity="team", offline=True)
    two_attempts(lambda: WandbSink(spec, RUN, tmp_path))
    wandb.teardown()  # its own process writes the files
    files = sorted(tmp_path.glob("wandb/offline-run-*/*.wandb"))
    assert [file.name for file in files] == [f"run-{UID}.wandb"] * 2
    points = []
    for file in files:
        records = read_wandb(file)
        (run,) = [r.run for r in records if r.HasField("run")]
        assert (run.run_id, run.project, run.entity) == (UID, "prorl", "team")
        assert not run.git.remote_url
        for record in records:
            if record.HasField("history"):
                items = {i.key or "/".join(i.nested_key): i.value_json for i in record.history.item}
                points.append((int(items[STEP]), float(items["step/kl"])))
    assert points == [(1, 1.0), (2, 2.0), (3, 3.0), (3, 30.0), (4, 40.0)]


def read_wandb(file: Path) -> list[Any]:
    """All records of an offline run: 7 bytes of header, then LevelDB's log format, in blocks of
    32 KiB, of protobuf messages."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, at, parts, records = file.read_bytes(), 7, [], []
    while at + 7 <= len(data):
        if 32768 - at % 32768 < 7:  # too little for a header: padding
            at += 32768 - at % 32768
            continue
        _, size, kind = struct.unpack_from("<IHB", data, at)
        parts.append(data[at + 7 : at + 7 + size])
        at += 7 + size
        if kind in (1, 4):  # the whole, or its last part
            record = Record()
            record.ParseFromString(b"".join(parts))
            records.append(record)
            parts = []
    return records


def test_trackio_takes_the_fields_of_the_spec() -> None:
    import inspect

    import trackio

    assert {"space_id", "server_url", "resume", "embed"} <= set(
        inspect.signature(trackio.init).parameters
    )
    assert TrackioSpec(project="p", space="owner/name").space == "owner/name"
