"""The children of a PID 1: started, watched, reaped, and ended with all that they left behind."""

import asyncio
import ctypes
import logging
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

log = logging.getLogger(__name__)

PR_SET_CHILD_SUBREAPER = 36
TAIL_LINES = 50
POLL_S = 0.05


@dataclass(kw_only=True, slots=True)
class Child:
    """A process that we have started, in a session and process group of its own."""

    name: str
    pid: int
    exited: asyncio.Future[int]
    """Done when it has ended: its exit code, or minus the signal's number."""
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=TAIL_LINES))
    """Its last lines of output."""

    def has_written(self, *texts: str) -> bool:
        """Whether one of the texts is in the last lines of output."""
        return any(text in line for line in list(self.tail) for text in texts)

    def signal(self, number: signal.Signals) -> None:
        """To the whole group; nothing happens if it has ended."""
        if not self.exited.done():
            os.killpg(self.pid, number)


class Processes:
    """All children of this process, orphaned descendants included. Used from one event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._children: dict[int, Child] = {}
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self._loop.add_signal_handler(signal.SIGCHLD, self._reap)

    def spawn(self, name: str, arguments: Sequence[str], extra: Mapping[str, str]) -> Child:
        """Starts a process with the extra environment; its output is passed on line by line."""
        process = subprocess.Popen(
            arguments,
            env={**os.environ, **extra},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            text=True,
            errors="replace",
        )
        child = Child(name=name, pid=process.pid, exited=self._loop.create_future())
        self._children[process.pid] = child
        process.returncode = 0  # _reap waits for it, not Popen
        threading.Thread(target=_pass_on, args=(process.stdout, child.tail), daemon=True).start()
        log.info("process=%s pid=%d started", name, process.pid)
        return child

    async def stop(self, child: Child, grace_s: float) -> None:
        """SIGTERM, then after grace_s SIGKILL, to it and to everything that is left."""
        child.signal(signal.SIGTERM)
        await asyncio.wait({child.exited}, timeout=grace_s)
        await self.kill_all()

    async def kill_all(self) -> None:
        """SIGKILL to every descendant until none is left."""
        while pids := descendants(os.getpid()):
            for pid in pids:
                _kill(pid)
            await asyncio.sleep(POLL_S)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            child = self._children.pop(pid, None)
            if child is not None:
                code = os.waitstatus_to_exitcode(status)
                log.info("process=%s pid=%d ended code=%d", child.name, pid, code)
                child.exited.set_result(code)


def descendants(root: int) -> list[int]:
    """All processes below root, children before grandchildren."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and (parent := _parent(entry)) is not None:
            children.setdefault(parent, []).append(int(entry.name))
    found, pending = [], deque([root])
    while pending:
        below = children.get(pending.popleft(), [])
        found += below
        pending += below
    return found


def _parent(entry: Path) -> int | None:
    try:
        # The name in parentheses may itself contain spaces and parentheses.
        return int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return None  # it has just ended


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        log.debug("pid=%d has ended by itself", pid)


def _pass_on(stream: IO[str] | None, tail: deque[str]) -> None:
    assert stream is not None
    with stream:
        for line in stream:
            tail.append(line.rstrip("\n"))
            sys.stdout.write(line)
            sys.stdout.flush()
