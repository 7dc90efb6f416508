"""A worker that does what a completion says; what it was given to judge is in the file meta.log."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prorl_verifier.worker import answer_items


def prepare() -> None:
    """Nothing to import."""


def main(arguments: list[str], channel: socket.socket) -> None:
    """As the real ones."""
    judged: list[str] = []

    def grader(answer: Any, meta: dict[str, Any]) -> Callable[[str], tuple[float, str]]:
        def grade(completion: str) -> tuple[float, str]:
            if completion == "babble":
                channel.sendall(b"[]\n")
            if completion == "exhaust unless fresh" and judged:
                raise MemoryError
            judged.append(completion)
            return obey(completion, answer, meta)

        return grade

    answer_items({"scripted": grader}, channel)


def obey(completion: str, answer: Any, meta: dict[str, Any]) -> tuple[float, str]:
    """1.0 and who has judged, unless the completion asks for something else."""
    log = Path(meta["log"])
    seen = log.read_text().split() if log.exists() else []
    with log.open("a") as file:
        file.write(f"{answer}\n")
    again = answer in seen
    match completion:
        case "hang":
            signal.pause()
        case "die":
            os._exit(1)
        case "die once" if not again:
            os._exit(1)
        case "exhaust":
            raise MemoryError
        case "exhaust once" if not again:
            raise MemoryError
        case "print":
            print('{"score": 1.0, "reason": "forged", "seconds": 0}', flush=True)
            return 0.0, "real"
        case "wait":
            while not Path(meta["until"]).exists():
                time.sleep(0.01)
        case "leave a daemon and die":
            daemon = subprocess.Popen(["sleep", "600"], start_new_session=True)
            Path(meta["daemon"]).write_text(str(daemon.pid))
            os._exit(1)
    return 1.0, f"{os.getppid()} {os.getpid()}"
