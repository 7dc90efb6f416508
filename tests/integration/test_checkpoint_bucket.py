"""The checkpoint store in a bucket of a real S3 server: commit, fencing, crashes, outages."""

import asyncio
import os
import shutil
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import bucket_writer
import pytest
from bucket_writer import REFERENCE, SHARD, commit, make_state, opened, write_shards
from export_builders import make_context, make_document, make_holder, make_trained
from export_builders import make_state as trained_state
from obstore.exceptions import NotSupportedError
from prorl_api.spec_lifecycle import Resume
from prorl_trainer.checkpoint import bucket, objects
from prorl_trainer.checkpoint.bucket import Bucket
from prorl_trainer.checkpoint.download import download
from prorl_trainer.checkpoint.manifest import verify
from prorl_trainer.checkpoint.objects import Objects
from prorl_trainer.checkpoint.place import open_medium
from prorl_trainer.checkpoint.store import CheckpointStore
from prorl_trainer.errors import CheckpointError, ConfigError, StorageError
from prorl_trainer.export.at_end import export_at_end
from prorl_trainer.learn.local import InProcessLearnerGroup
from prorl_trainer.types import ShardFiles
from relay import Relay
from s3_server import s3_bucket
from tiny_model import make_batch, make_model, make_settings

URI = "s3://runs/team/job/checkpoints"


@pytest.fixture(autouse=True)
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with s3_bucket("runs", monkeypatch):
        found = os.environ["AWS_ENDPOINT_URL"]
        yield found
        # The server's buckets would be there for the next one of this process.
        reset = urllib.request.Request(f"{found}/moto-api/reset", method="POST")
        urllib.request.urlopen(reset).close()


def latest_step(uri: str = URI) -> int:
    found = opened(uri).load(Resume.LATEST)
    assert found is not None
    return found.state.step


def steps() -> list[int]:
    return Bucket(Objects(URI)).steps()


def test_what_is_committed_is_loaded_and_the_old_ones_leave_nothing() -> None:
    commit(opened(URI), 1, 2, 3)
    assert latest_step() == 3
    assert steps() == [2, 3]
    assert not [key for key in Objects(URI).list() if key.startswith("step-00000001")]


def test_learners_of_another_pod_go_on_bit_for_bit(tmp_path: Path) -> None:
    model = make_model(tmp_path / "model")
    first, second = InProcessLearnerGroup(model), InProcessLearnerGroup(model)
    first.learner.update(make_batch(), make_settings(learning_rate=1e-2))
    first.learner.reset_reference()
    first.learner.update(make_batch(), make_settings(learning_rate=1e-2))
    first.learner.stage()
    asyncio.run(opened(URI, 1).commit(make_state(2), first.write, now=1.0))
    found = opened(URI, 2).load(Resume.LATEST)
    assert found is not None
    asyncio.run(second.load(found.shards))
    assert second.learner.state_digest() == first.learner.state_digest()


def reference_writes(*steps: int) -> list[bool]:
    """Of saves of one attempt: the learners had to upload the reference."""
    wrote = []

    async def write(place: str, *, reference: bool) -> ShardFiles:
        wrote.append(reference)
        return await write_shards(place, reference=reference)

    store = opened(URI)
    for step in steps:
        asyncio.run(store.commit(make_state(step), write, now=1.0))
    return wrote


def test_the_bucket_copies_the_reference_from_an_earlier_checkpoint() -> None:
    assert reference_writes(1, 2, 3, 4) == [True, True, False, False]
    found = opened(URI).load(Resume.LATEST)
    assert found is not None
    assert Objects(found.shards).get("reference/__0_0.distcp") == REFERENCE


def test_what_is_too_large_for_the_bucket_to_copy_is_uploaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bucket, "MAX_COPY_BYTES", len(REFERENCE) - 1)
    assert reference_writes(1, 2, 3) == [True, True, True]


@pytest.mark.parametrize("refusal", [NotSupportedError("no CopyObject"), FileNotFoundError("gone")])
def test_what_the_bucket_does_not_copy_is_uploaded_and_the_log_says_why(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, refusal: Exception
) -> None:
    monkeypatch.setattr(objects.obstore, "copy", Mock(side_effect=refusal))
    assert reference_writes(1, 2, 3) == [True, True, True]
    assert f"no copy: {refusal}" in caplog.text
    assert latest_step() == 3


@pytest.mark.parametrize("damage", ["changed", "truncated", "missing", "manifest"])
def test_a_bad_one_is_set_aside_and_the_one_before_is_used(damage: str) -> None:
    store, keys = opened(URI), Objects(URI)
    commit(store, 1, 2)
    shard = next(k for k in keys.list("step-00000002/") if k.endswith("shards/__0_0.distcp"))
    if damage == "missing":
        keys.delete([shard])
    elif damage == "manifest":
        keys.put("step-00000002/manifest.json", b"{}")
    else:
        keys.put(shard, SHARD[:-1] + (b"X" if damage == "changed" else b""))
    assert latest_step() == 1
    assert steps() == [1]
    assert [k for k in keys.list("step-00000002/") if ".bad-" in k]
    commit(opened(URI), 2)
    assert latest_step() == 2


def test_when_all_are_bad_a_fresh_start_is_refused() -> None:
    commit(opened(URI), 1)
    Objects(URI).put("step-00000001/manifest.json", b"{}")
    for _ in range(2):
        with pytest.raises(CheckpointError, match=r"None of the checkpoints in s3://runs/team"):
            opened(URI).load(Resume.LATEST)


def test_of_two_writers_that_race_for_a_step_one_loses_cleanly() -> None:
    stores = [opened(URI, 1) for _ in range(2)]
    both_write = threading.Barrier(2)

    async def write_with_the_other(place: str, *, reference: bool) -> ShardFiles:
        both_write.wait()
        return await write_shards(place, reference=reference)

    def race(store: CheckpointStore, step: int) -> None:
        asyncio.run(store.commit(make_state(step), write_with_the_other, now=1.0))

    for step in range(1, 9):
        with ThreadPoolExecutor(2) as threads:
            futures = [threads.submit(race, store, step) for store in stores]
            errors = [future.exception() for future in futures]
        lost = [error for error in errors if error is not None]
        assert len(lost) == 1
        assert isinstance(lost[0], CheckpointError), lost
        assert steps()[-1] == step


def test_a_replaced_attempt_cannot_commit() -> None:
    old = opened(URI, 1)
    commit(opened(URI, 2), 1)
    with pytest.raises(CheckpointError, match="attempt 2 has taken over"):
        commit(old, 2)
    with pytest.raises(CheckpointError, match="attempt 2 has taken over"):
        opened(URI, 1)
    assert steps() == [1]


WRITES = 7
"""Of a third commit: copy of the reference, shard, document, manifest, two to delete what is old;
the seventh never comes."""


def test_a_writer_that_is_killed_between_any_two_writes_loses_nothing() -> None:
    seen = []
    for write in range(1, WRITES + 1):
        uri = f"{URI}-{write}"
        command = [sys.executable, bucket_writer.__file__, uri, str(write)]
        seen.append((subprocess.run(command).returncode, latest_step(uri)))
        commit(opened(uri), 4)
        assert latest_step(uri) == 4
    assert seen == [(-9, 2)] * 4 + [(-9, 3)] * 2 + [(0, 3)]


def test_a_server_that_is_gone_for_a_while_is_waited_for(endpoint: str) -> None:
    store = opened(URI)
    commit(store, 1)
    port = int(endpoint.rpartition(":")[2])
    relay = Relay(port)
    os.environ["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{relay.port}"
    away = opened(URI)
    relay.fail_next(4)
    commit(away, 2)
    assert relay.failed == 4
    relay.close()
    assert latest_step_at(endpoint) == 2


def test_a_server_that_stays_away_is_named_and_costs_nothing(endpoint: str) -> None:
    store = opened(URI, patience_s=1)
    commit(store, 1)
    os.environ["AWS_ENDPOINT_URL"] = "http://127.0.0.1:9"
    away = CheckpointStore(Bucket(Objects(URI, 1)), keep=2)
    with pytest.raises(StorageError, match=r"Cannot list s3://runs/team/job/checkpoints.*AWS_ACC"):
        away.open_for_attempt(None)
    assert latest_step_at(endpoint) == 1


def latest_step_at(endpoint: str) -> int:
    os.environ["AWS_ENDPOINT_URL"] = endpoint
    return latest_step()


def test_a_bucket_that_does_not_exist_and_a_bad_uri_are_named() -> None:
    with pytest.raises(StorageError, match=r"Cannot list s3://nowhere/x.*NoSuchBucket"):
        Objects("s3://nowhere/x").list()
    with pytest.raises(ConfigError, match="must be s3://BUCKET/PREFIX"):
        Objects("s3://runs")


def test_a_download_is_the_directory_that_it_would_be_and_a_damaged_one_is_refused(
    tmp_path: Path,
) -> None:
    commit(opened(URI), 1)
    (tmp_path / "whole").mkdir()
    download(Objects(URI), 1, tmp_path / "whole")
    assert verify(tmp_path / "whole").step == 1
    shard = next(k for k in Objects(URI).list() if k.endswith("distcp"))
    Objects(URI).put(shard, b"x" * len(SHARD))
    (tmp_path / "damaged").mkdir()
    with pytest.raises(ValueError, match="another checksum"):
        download(Objects(URI), 1, tmp_path / "damaged")


def test_a_job_whose_spec_names_a_bucket_checkpoints_and_exports_from_there(
    tmp_path: Path,
) -> None:
    trained = make_trained(tmp_path)
    shutil.rmtree(tmp_path / "checkpoints")
    job = make_document(
        checkpoint={"storage": {"uri": "s3://runs/team"}},
        export={"uri": "s3://runs/models/small", "dtype": "float32"},
    )
    context = make_context(tmp_path, None, local=False)
    context = replace(context, job=job)
    store = CheckpointStore(open_medium(context), keep=2)
    store.open_for_attempt(1, job.uid)
    trained.group.learner.stage()
    asyncio.run(store.commit(trained_state(job, 9), trained.group.write, now=1.0))
    assert Bucket(Objects("s3://runs/team/small/checkpoints")).steps() == [9]
    assert context.checkpoint_uri(9) == "s3://runs/team/small/checkpoints/step-00000009"
    holder = make_holder()
    asyncio.run(export_at_end(context, holder, trained.model_dir, 9))
    assert holder.document().export_failure == ""
    assert "model.safetensors" in Objects("s3://runs/models/small").list()
    assert not list(tmp_path.glob(".checkpoint-*"))
