"""The worker's side: one zygote, and one process of a program at a time."""

import contextlib
import json
import resource
import secrets
import select
import socket
import struct
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from prorl_verifier.sandbox import frames
from prorl_verifier.sandbox.budget import Budget
from prorl_verifier.sandbox.levels import Isolation

ROOT = Path(__file__).parents[2]
START_TIMEOUT_S = 30.0
MEMORY_BYTES = 512 << 20
OUTPUT_BYTES = 2 << 20
MAX_FILES = 64
MAX_THREADS = 4096
"""Of all processes of the user, unless the program has a user namespace to itself."""
_CREDENTIALS = struct.Struct("3i")


class SandboxError(RuntimeError):
    """The sandbox failed, not the program."""


class ProgramEnded(Exception):
    """The process has ended or broken off the conversation."""


class TimeIsUp(Exception):
    """The program has used its time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """How a process ended; `status` as of os.wait, `cpu_s` of all its threads."""

    status: int
    cpu_s: float


class Sandbox:
    """A zygote at exactly this level. Raises SandboxError when the level cannot be reached."""

    def __init__(self, level: Isolation) -> None:
        self._commands, theirs = socket.socketpair()
        self._commands.settimeout(START_TIMEOUT_S)
        entry = "from prorl_verifier.sandbox import zygote; zygote.main()"
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-s", "-S", "-B", "-X", "utf8", "-c",
                 f"import sys; sys.path.append({str(ROOT)!r}); {entry}", str(int(level))],
                env={"PYTHONHASHSEED": "0"},  # sets have the same order in every verdict
                stdin=theirs.fileno(), stdout=subprocess.DEVNULL,
            )  # fmt: skip
        try:
            if self._receive(1) != b"R":
                raise SandboxError(f"isolation {level.word}: not to be had here")
        except SandboxError:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the zygote and with it whatever it has started."""
        self._commands.close()
        try:
            self._process.wait(START_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def start(self, budget: Budget, streams: tuple[int, ...] = ()) -> "Program":
        """A confined process that has seen nothing of a program yet. `streams` are the descriptors
        of its stdin and stdout, /dev/null if there are none.

        Raises SandboxError, Overloaded, TimeIsUp."""
        if budget.left_s <= 0:
            raise TimeIsUp
        mine, theirs = socket.socketpair()
        mine.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        with theirs:
            request = json.dumps(_limits(budget)).encode()
            try:
                socket.send_fds(self._commands, [request], [theirs.fileno(), *streams])
            except OSError as error:
                raise SandboxError(f"the zygote is gone: {error.strerror}") from error
        return Program(self, mine, budget)

    def end_process(self) -> Ended:
        """Kills and reaps the process that runs. Raises SandboxError."""
        try:
            self._commands.sendall(b"E")
        except OSError as error:
            raise SandboxError(f"the zygote is gone: {error.strerror}") from error
        line = b""
        while not line.endswith(b"\n"):
            line += self._receive(4096)
        return Ended(**json.loads(line))

    def _receive(self, size: int) -> bytes:
        try:
            part = self._commands.recv(size)
        except OSError as error:
            raise SandboxError(f"the zygote does not answer: {error}") from error
        if not part and size > 1:
            raise SandboxError("the zygote is gone")
        return part


class Program:
    """The conversation with one process; whatever it says is the program's word."""

    def __init__(self, sandbox: Sandbox, control: socket.socket, budget: Budget) -> None:
        self._sandbox = sandbox
        self._control = control
        self._budget = budget
        self._buffer = b""
        try:
            budget.start(self._first_word())
        except SandboxError:
            control.close()
            with contextlib.suppress(SandboxError):
                sandbox.end_process()
            raise
        control.setblocking(False)

    def _first_word(self) -> int:
        """The process says that it is confined; the kernel says which process it is."""
        self._control.settimeout(START_TIMEOUT_S)
        try:
            space = socket.CMSG_SPACE(_CREDENTIALS.size)
            self._buffer, ancillary, _, _ = self._control.recvmsg(4096, space)
        except OSError as error:
            raise SandboxError(f"the sandbox did not start: {error}") from error
        if not self._buffer or not ancillary:
            raise SandboxError("the sandbox could not confine itself")
        if "ready" not in self._next_frame():
            raise SandboxError("the sandbox did not start as it should")
        return int(_CREDENTIALS.unpack(ancillary[0][2])[0])

    def ask(self, frame: dict[str, Any]) -> dict[str, Any]:
        """The answer. Raises ProgramEnded, TimeIsUp, Overloaded."""
        data = memoryview(frames.pack(frame))
        try:
            while data:
                self._wait(writing=True)
                data = data[self._control.send(data) :]
        except ConnectionError as error:
            raise ProgramEnded("it is gone") from error
        return self._next_frame()

    def is_alive(self) -> bool:
        """The process is still there, and answers a nonce that it could not know before."""
        nonce = {"nonce": secrets.token_hex(16)}
        return self.ask(nonce) == nonce and not self._buffer

    def end(self) -> Ended:
        """Kills and reaps the process, always before its work is looked at."""
        self._budget.stop()
        self._control.close()
        return self._sandbox.end_process()

    def _next_frame(self) -> dict[str, Any]:
        header = frames.HEADER
        (length,) = header.unpack(self._take(header.size))
        if length > frames.MAX_FRAME_BYTES:
            raise ProgramEnded(f"it says {length} bytes at once")
        try:
            return frames.parse(self._take(length))
        except ValueError as error:
            raise ProgramEnded(f"it speaks another language: {error}") from error

    def _take(self, size: int) -> bytes:
        while len(self._buffer) < size:
            self._wait(writing=False)
            try:
                part = self._control.recv(1 << 20)
            except ConnectionError as error:
                raise ProgramEnded("it is gone") from error
            if not part:
                raise ProgramEnded("it is gone")
            self._buffer += part
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        return taken

    def _wait(self, *, writing: bool) -> None:
        socket_of = [self._control]
        while (left := self._budget.left_s) > 0:
            readable, writable, _ = select.select(
                [] if writing else socket_of, socket_of if writing else [], [], left
            )
            if readable or writable:
                return
        raise TimeIsUp


def _limits(budget: Budget) -> dict[int, int]:
    """By resource.RLIMIT_*, hard. The processor's is a net under the budget."""
    return {
        resource.RLIMIT_CPU: int(budget.left_s) + 2,
        resource.RLIMIT_AS: MEMORY_BYTES,
        resource.RLIMIT_FSIZE: OUTPUT_BYTES,
        resource.RLIMIT_NOFILE: MAX_FILES,
        resource.RLIMIT_NPROC: MAX_THREADS,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MEMLOCK: 0,
        resource.RLIMIT_MSGQUEUE: 0,
    }
