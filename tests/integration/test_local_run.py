"""`prorl run` as a user has it: real processes, a tiny model, what goes wrong and what is left.

Every test ends with the processes of its runs gone: they are found by a variable of their
environment.
"""

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from journal_builders import keys_in
from local_run import CANARY, MANIFEST, STEPS, LocalRun, learned, weights
from prorl_api.exit_codes import ExitCode
from prorl_api.spec_lifecycle import Resume
from prorl_trainer.checkpoint.directory import Directory
from prorl_trainer.checkpoint.manifest import read_manifest
from prorl_trainer.checkpoint.store import CheckpointStore
from prorl_trainer.journal.record import Key
from prorl_trainer.losses import MAX_LOSSES
from refused import disk


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def whole(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> LocalRun:
    """A run that nothing has disturbed."""
    run = LocalRun(directory=tmp_path_factory.mktemp("runs") / "whole", cache=cache).start()
    code, output = run.ended()
    assert code == 0, output + run.log()
    assert f"{STEPS} of {STEPS} steps" in output
    return run


def test_a_run_leaves_metrics_events_a_plot_and_checkpoints(whole: LocalRun) -> None:
    assert [r["step"] for r in whole.records("step")] == list(range(1, STEPS + 1))
    assert [r["step"] for r in whole.records("reset")] == [7, 14]
    assert len({reward for _, _, reward in learned(whole)}) > 3, "rewards must differ"
    (events,) = (whole.directory / "tensorboard").iterdir()
    assert b"step/reward_mean" in events.read_bytes()
    assert (whole.directory / "report.png").read_bytes().startswith(b"\x89PNG")
    assert [p.name for p in whole.checkpoints()] == [f"step-{n:08d}" for n in (12, 14, 16)]
    digests = {read_manifest(p).files["shards/__0_0.distcp"].checksum for p in whole.checkpoints()}
    assert len(digests) == 3, "the weights must change"


def test_credentials_are_nowhere_in_what_a_run_leaves(whole: LocalRun) -> None:
    """Logs, metrics, journal, checkpoints, TensorBoard."""
    files = [path for path in whole.directory.rglob("*") if path.is_file()]
    assert {"coordinator.log", "metrics.jsonl"} <= {path.name for path in files}
    assert [path for path in files if CANARY.encode() in path.read_bytes()] == []


def test_a_run_that_is_stopped_then_killed_amid_a_step_ends_with_the_same_weights(
    whole: LocalRun, cache: Path, tmp_path: Path
) -> None:
    manifest = MANIFEST.replace("WARM", "150").replace("everySteps: 2, keep: 3", "everySteps: 99")
    run = LocalRun(directory=tmp_path / "run", cache=cache, manifest=manifest).start()
    journal = run.directory / "journal"
    run.until_step(1)
    stopped_at = stop(run)
    run.start().until((journal / f"step-{stopped_at + 1:08d}.00000002").exists)
    finished = kill_coordinator(run)
    assert len(finished) > 8, "all of a step, some of the next"

    run.start().until(lambda: any(journal.glob("step-*.00000003")))
    run.coordinator().suspend()
    keys = keys_in(journal)
    run.coordinator().resume()
    assert keys[: len(finished)] == finished
    assert len(keys) == len(set(keys)), "a finished group was drawn again"
    code, output = run.ended()
    assert code == 0, output + run.log()
    assert sum(r["values"].get("replayed", 0) for r in run.records("step")) == len(finished)
    assert " replayed=" in run.log()
    assert learned(run) == learned(whole)
    assert weights(run) == weights(whole)
    assert [r["step"] for r in run.records("start")] == [0, stopped_at, stopped_at]
    assert keys_in(journal) == [], "the last checkpoint has all"


def stop(run: LocalRun) -> int:
    """Asks for it as Ctrl-C does. Returns the step at which it stopped."""
    assert run.process is not None
    run.process.send_signal(signal.SIGINT)
    code, output = run.ended()
    assert code == ExitCode.STOPPED
    step = int(run.records("step")[-1]["step"])
    assert f"Stopped, saved at step {step}. Run again to resume." in output
    assert "SIGTERM received" not in run.log(), "Ray's handler would end it after three seconds"
    return step


def kill_coordinator(run: LocalRun) -> list[Key]:
    """Returns what was finished after the last checkpoint."""
    run.coordinator().kill()
    code, output = run.ended()
    assert code == ExitCode.INTERNAL
    assert "The coordinator was killed by signal 9" in output
    return keys_in(run.directory / "journal")


def test_lost_processes_cost_no_step_and_change_no_weight(
    whole: LocalRun, cache: Path, tmp_path: Path
) -> None:
    """Learners, the engine, and the coordinator when it is about to save or saves."""
    run = LocalRun(directory=tmp_path / "run", cache=cache).start()
    run.until_step(3)
    run.actor("LearnerActor").kill()
    run.until(lambda: "learners lost" in run.log())
    run.until_step(9)
    run.actor("EngineActor").kill()
    run.until_step(12)
    kill_coordinator(run)
    code, output = run.start().ended()
    assert code == 0, output + run.log()
    assert run.records("start")[-1]["step"] in (8, 10, 12)
    assert learned(run) == learned(whole)
    assert weights(run) == weights(whole)


def killed(run: LocalRun, name: str) -> bool:
    """False while the actor is not there."""
    try:
        run.actor(name).kill()
    except (StopIteration, OSError, psutil.Error):
        return False
    return True


def test_learners_that_die_time_and_again_end_the_run(cache: Path, tmp_path: Path) -> None:
    run = LocalRun(directory=tmp_path / "run", cache=cache).start()
    for lost in range(1, MAX_LOSSES + 1):
        run.until(lambda: killed(run, "LearnerActor"))
        run.until(lambda lost=lost: run.log().count("learners lost") == lost)
    code, output = run.ended()
    assert code == ExitCode.TRAINER_LOST, output
    assert f"The learners were lost {MAX_LOSSES} times without a new step" in output


def test_a_corrupt_checkpoint_is_set_aside_and_the_one_before_is_used(
    whole: LocalRun, cache: Path, tmp_path: Path
) -> None:
    shutil.copytree(whole.directory, tmp_path / "run")
    run = LocalRun(directory=tmp_path / "run", cache=cache)
    shard = run.checkpoints()[-1] / "shards" / "__0_0.distcp"
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    code, output = run.start().ended()
    assert code == 0, output + run.log()
    assert "Set aside, the log says why: step-00000016.bad-" in output
    assert run.records("start")[-1]["step"] == 14
    assert weights(run) == weights(whole)

    for checkpoint in run.checkpoints():
        (checkpoint / "manifest.json").unlink()
    code, output = run.start().ended()
    assert code == ExitCode.CHECKPOINT
    assert f"None of the checkpoints in {run.directory}/checkpoints can be loaded" in output
    assert len(list((run.directory / "checkpoints").glob("*.bad-*"))) == 4


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB."""
    with disk(tmp_path / "disk", 4 << 20) as mounted:
        yield mounted


def test_a_full_disk_ends_with_the_code_of_storage_and_the_last_checkpoint_loads(
    cache: Path, small_disk: Path
) -> None:
    manifest = LocalRun(directory=small_disk, cache=cache).manifest.replace("keep: 3", "keep: 99")
    run = LocalRun(directory=small_disk / "run", cache=cache, manifest=manifest).start()
    run.until(lambda: bool(run.records("checkpoint")))
    with pytest.raises(OSError, match="No space"):
        (small_disk / "filler").write_bytes(b"x" * (4 << 20))
    code, output = run.ended()
    assert code == ExitCode.STORAGE, output
    assert "Storage: " in output
    assert "No space left on device" in output
    assert "The last checkpoint stands." in output
    assert "Make room" in output

    code, output = run.start().ended()
    assert code == ExitCode.STORAGE, output
    assert "No space left on device" in output

    (small_disk / "filler").unlink()
    store = CheckpointStore(Directory(run.directory / "checkpoints"), keep=3)
    checkpoint = store.load(Resume.LATEST)
    assert checkpoint is not None
    assert checkpoint.state.step >= 2
    assert not list((run.directory / "checkpoints").glob("*.tmp-*"))


def test_a_model_in_the_making_is_shown_and_a_stop_ends_it_and_leaves_nothing_of_it(
    cache: Path, tmp_path: Path
) -> None:
    manifest = MANIFEST.replace("WARM", "1000000")
    run = LocalRun(directory=tmp_path / "run", cache=cache, manifest=manifest).start()
    assert run.process is not None
    assert run.process.stdout is not None
    shown = next(line for line in run.process.stdout if "Warming up the tiny model" in line)
    assert "of 1000000 steps" in shown
    assert list((cache / "models").glob("*.tmp-*"))
    run.process.send_signal(signal.SIGINT)
    code, output = run.ended()
    assert code == ExitCode.STOPPED
    assert "Stopped, nothing to save yet." in output
    assert not list((cache / "models").glob("*.tmp-*"))
