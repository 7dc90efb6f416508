"""prorl run around a scripted coordinator: a real process that keeps its contract."""

import fcntl
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

from prorl_api.exit_codes import ExitCode

MANIFEST = """
apiVersion: prorl.dev/v1alpha1
kind: ProRLJob
metadata: {name: quick}
spec:
  model: {uri: "tiny://llama"}
  algorithm: {steps: 3, learningRate: 1e-4}
  data:
    train: [{name: a, domain: logic, uri: "gym://reasoning-gym/spell_backward?size=10"}]
"""

COORDINATOR = """
import json, pathlib, signal, sys, time
run = pathlib.Path(sys.argv[sys.argv.index("--run-dir") + 1])
assert json.loads((run / "job.json").read_text())["name"] == "quick"
assert (run / "token").stat().st_mode & 0o077 == 0

def end(code, **more):
    word = {"outcome": "Failed", "exitCode": code, "reason": "Data", **more}
    (run / "termination.json").write_text(json.dumps(word))
    sys.exit(code)

def record(kind, step, **values):
    line = {"kind": kind, "step": step, "attempt": 1, "time": 100.0 + step, "values": values}
    with (run / "metrics.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\\n")

signal.signal(signal.SIGTERM, lambda *_: end(75, outcome="Stopped", checkpointStep=1))
record("validation", 0, accuracy=0.1)
for step in (1, 2):
    record("step", step, reward_mean=0.1 * step, kl=0.01, step_seconds=0.1, reference_version=0)
MODE
"""

ENDINGS = {
    "success": "record('reset', 2, reference_version=1, reason='schedule')\n"
    "record('validation', 3, accuracy=0.6)\nrecord('step', 3, reward_mean=0.9, kl=0.0)\n"
    "end(0, outcome='Succeeded')",
    "data": "end(11, message='set a: row 7 has no answer.')",
    "hang": "(run / 'endpoint.json').write_text('{\"pid\": 4711}')\n"
    "(run / 'ready').touch()\ntime.sleep(60)",
    "young": "signal.signal(signal.SIGTERM, signal.SIG_DFL)\n"
    "(run / 'ready').touch()\ntime.sleep(60)",
    "storage": "sys.exit(14)",
    "recovered": "record('validation', 2, accuracy=0.9)\nrecord('reset', 2, reference_version=1)\n"
    "record('start', 1)\nend(11, message='x')",
    "deaf": "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "(run / 'ready').touch()\ntime.sleep(60)",
}


def start(tmp_path: Path, ending: str, *arguments: str) -> subprocess.Popen[str]:
    manifest, fake = tmp_path / "job.yaml", tmp_path / "coordinator.py"
    manifest.write_text(MANIFEST)
    fake.write_text(COORDINATOR.replace("MODE", ENDINGS[ending]))
    program = textwrap.dedent(f"""
        import sys
        from prorl_cli import process
        from prorl_cli.main import main
        process.CoordinatorProcess.__init__.__defaults__ = ((sys.executable, {str(fake)!r}),)
        main()
    """)
    paths = os.pathsep.join(path for path in sys.path if path)
    return subprocess.Popen(
        [sys.executable, "-c", program, "run", str(manifest), *arguments],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": paths, "MPLCONFIGDIR": str(tmp_path)},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    while not path.exists():
        try:
            process.wait(timeout=0.05)
        except subprocess.TimeoutExpired:
            continue
        raise AssertionError(process.communicate()[0])


def test_a_finished_run_leaves_a_summary_and_a_plot(tmp_path: Path) -> None:
    process = start(tmp_path, "success")
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    assert "held-out accuracy 0.100 -> 0.600 (+50.0 points)" in output
    assert "reference resets: 1 (steps: 2)" in output
    assert "step 3/3: reward 0.900" in output
    assert (tmp_path / "runs/quick/report.png").read_bytes().startswith(b"\x89PNG")


def test_a_failure_names_reason_message_advice_and_log(tmp_path: Path) -> None:
    process = start(tmp_path, "data", "--out", "there")
    output, _ = process.communicate(timeout=60)
    assert process.returncode == ExitCode.DATA
    assert "Data: set a: row 7 has no answer." in output
    assert "Correct the dataset" in output
    assert "there/logs/coordinator.log" in output


def test_ctrl_c_saves_and_ends_with_75(tmp_path: Path) -> None:
    process = start(tmp_path, "hang")
    wait_for(tmp_path / "runs/quick/ready", process)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == ExitCode.STOPPED
    assert "Stopped, saved at step 1. Run again to resume." in output


def test_the_second_ctrl_c_kills(tmp_path: Path) -> None:
    process = start(tmp_path, "deaf")
    wait_for(tmp_path / "runs/quick/ready", process)
    process.send_signal(signal.SIGINT)
    line = ""
    while "Stopping" not in line:  # the first signal has been taken
        line = process.stdout.readline() if process.stdout else ""
        assert line, "the command ended at the first signal"
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == ExitCode.INTERNAL
    assert "Killed. Run again to resume from the last checkpoint." in output


def test_a_second_command_is_refused_while_the_first_coordinator_lives(tmp_path: Path) -> None:
    first = start(tmp_path, "hang")
    wait_for(tmp_path / "runs/quick/ready", first)
    second = start(tmp_path, "success")
    output, _ = second.communicate(timeout=30)
    assert second.returncode == 2
    assert "Another run is using runs/quick (process 4711)" in output
    first.send_signal(signal.SIGTERM)
    first.communicate(timeout=30)


def test_ctrl_c_before_the_coordinator_listens_is_a_stop(tmp_path: Path) -> None:
    process = start(tmp_path, "young")
    wait_for(tmp_path / "runs/quick/ready", process)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == ExitCode.STOPPED
    assert "Stopped, nothing to save yet. Run again to resume." in output


def test_a_closed_terminal_saves_and_ends_with_75(tmp_path: Path) -> None:
    process = start(tmp_path, "hang")
    wait_for(tmp_path / "runs/quick/ready", process)
    process.send_signal(signal.SIGHUP)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == ExitCode.STOPPED
    assert "Stopped, saved at step 1." in output


def test_a_command_that_cannot_write_any_more_stops_the_run(tmp_path: Path) -> None:
    process = start(tmp_path, "hang")
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(timeout=30) != 0
    lock = os.open(tmp_path / "runs/quick/lock", os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)  # the coordinator has it until its end
    os.close(lock)
    assert '"Stopped"' in (tmp_path / "runs/quick/termination.json").read_text()


def test_an_exit_code_without_a_last_word_is_explained(tmp_path: Path) -> None:
    output, _ = (process := start(tmp_path, "storage")).communicate(timeout=30)
    assert process.returncode == ExitCode.STORAGE
    assert "Storage: A disk (full, read-only, gone) or a data source failed." in output
    assert "Make room" in output


def test_steps_after_the_checkpoint_that_a_run_went_back_to_are_not_counted(
    tmp_path: Path,
) -> None:
    output, _ = start(tmp_path, "recovered").communicate(timeout=30)
    assert "1 of 3 steps" in output
    assert "held-out accuracy 0.100 -> 0.100" in output
    assert "reference resets: 0" in output


def test_a_directory_that_cannot_be_written_ends_with_the_code_of_storage(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    output, _ = (process := start(tmp_path, "success", "--out", "file/run")).communicate(timeout=30)
    assert process.returncode == ExitCode.STORAGE
    assert "file/run cannot be used: Not a directory" in output
    assert "Make room" in output


def test_a_plot_that_cannot_be_written_does_not_hide_the_verdict(tmp_path: Path) -> None:
    (tmp_path / "runs/quick/report.png").mkdir(parents=True)
    output, _ = (process := start(tmp_path, "success")).communicate(timeout=60)
    assert process.returncode == 0
    assert "report.png cannot be written: Is a directory." in output
    assert "Succeeded." in output
