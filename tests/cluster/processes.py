"""The programs of a cluster: their logs, and their end with ours."""

import shutil
import subprocess
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

STOP_TIMEOUT_S = 15
LOG_TAIL_CHARACTERS = 2000


@dataclass(kw_only=True)
class Processes:
    """Started in `directory`, where each has its log NAME.log."""

    directory: Path
    _commands: dict[str, list[str]] = field(default_factory=dict)
    _running: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    def start(self, program: Path | str, *arguments: object) -> None:
        """The program is killed by the kernel when this process ends, however it ends."""
        self._start([str(program), *map(str, arguments)])

    def _start(self, command: list[str]) -> None:
        name = Path(command[0]).name
        tie = [str(shutil.which("setpriv")), "--pdeathsig", "KILL"]
        with self._log(name).open("ab") as log:
            self._commands[name] = command
            self._running[name] = subprocess.Popen(
                [*tie, *command], cwd=self.directory, stdout=log, stderr=log
            )

    def check(self, *, revive: Collection[str] = ()) -> None:
        """Raises RuntimeError with the end of its log when one has ended. Those to `revive` are
        started again, as an init system would do."""
        for name, process in list(self._running.items()):
            if process.poll() is not None:
                if name in revive:
                    self._start(self._commands[name])
                    continue
                tail = self._log(name).read_text(errors="replace")[-LOG_TAIL_CHARACTERS:]
                raise RuntimeError(f"{name} has ended with code {process.returncode}:\n{tail}")

    def stop(self) -> None:
        """Ends the programs one after another, newest first: an API server whose etcd has gone does
        not end by itself."""
        for process in reversed(self._running.values()):
            process.terminate()
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._running.clear()

    def _log(self, name: str) -> Path:
        return self.directory / f"{name}.log"
