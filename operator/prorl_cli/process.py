"""The coordinator as a process of this machine: start, watch, stop."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

from prorl_cli.rundir import coordinator_log

COORDINATOR = (sys.executable, "-m", "prorl_trainer.coordinator")
POLL_S = 0.5


class CoordinatorProcess:
    """One start. The first stop signal saves, the second kills."""

    def __init__(self, directory: Path, lock: int, command: Sequence[str] = COORDINATOR) -> None:
        self.note = ""
        self.log = coordinator_log(directory)
        self._stops = 0
        with self.log.open("ab") as log:
            # Its own session: a Ctrl-C at the terminal reaches this command only.
            self._process = subprocess.Popen(
                [*command, "--run-dir", str(directory)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=environment(),
                pass_fds=(lock,),
            )
        os.close(lock)  # the coordinator has it now, even if this command is killed

    @property
    def stop_requested(self) -> bool:
        """Whether a signal has asked for the end."""
        return self._stops > 0

    def wait(self, on_tick: Callable[[], None]) -> int:
        """Calls on_tick until the process has ended; returns its code (negative: a signal)."""
        before = {s: signal.signal(s, self._on_signal) for s in _stop_signals()}
        try:
            while True:
                try:
                    return self._process.wait(timeout=POLL_S)
                except subprocess.TimeoutExpired:
                    on_tick()
        except BaseException:  # nobody would see it go on: the output was closed, for example
            self._process.terminate()
            raise
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._stops += 1
        if self._process.poll() is not None:
            return
        if self._stops == 1:
            self.note = "Stopping: saving what is finished... (Ctrl-C again to end at once)"
            self._process.terminate()
        else:
            self.note = "Killed"
            os.killpg(self._process.pid, signal.SIGKILL)


def _stop_signals() -> list[signal.Signals]:
    """A closed terminal stops the run too, unless nohup has asked for the contrary."""
    stops = [signal.SIGINT, signal.SIGTERM]
    return stops if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else [*stops, signal.SIGHUP]


def environment() -> dict[str, str]:
    """Ours, and a cache in which runs of this machine share the tiny models that were built."""
    cache = Path(os.environ.get("PRORL_CACHE") or Path.home() / ".cache" / "prorl")
    return {"PRORL_MODEL_CACHE": str(cache / "models")} | os.environ
