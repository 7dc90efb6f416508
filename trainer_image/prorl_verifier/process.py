"""The service's end of a worker, and of the forker that makes workers."""

import asyncio
import logging
import os
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import suppress

from prorl_verifier.forker import MAX_MESSAGE_BYTES, READY

log = logging.getLogger(__name__)

START_TIMEOUT_S = 60.0
LINE_LIMIT = 1 << 20
PART_BYTES = 1 << 16
SEND_BYTES = 1 << 20
"""Of the socket to a worker, or as much as the kernel gives."""
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
"""A process that has threads must not fork."""


class Worker:
    """A conversation: runs of items out, a line per answer in, in the same order."""

    def __init__(self, pid: int, channel: socket.socket) -> None:
        channel.setblocking(False)
        channel.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BYTES)
        self.pid = pid
        self._channel = channel
        self._unsent = memoryview(b"")
        self._received = b""

    def send(self, data: bytes) -> None:
        """What it does not take yet is sent while its answers are awaited: it may be waiting for
        somebody to read them. Raises ConnectionError."""
        if data:
            self._unsent = memoryview(b"".join((self._unsent, data)) if self._unsent else data)
        if self._unsent:
            with suppress(BlockingIOError):
                self._unsent = self._unsent[self._channel.send(self._unsent) :]

    async def answers(self, until: float) -> bytes:
        """All lines that have come, as soon as there is one; none at `until` (of time.monotonic).

        Raises EOFError, ConnectionError, ValueError."""
        while b"\n" not in self._received:
            try:
                part = self._channel.recv(PART_BYTES)
            except BlockingIOError:
                if time.monotonic() >= until:
                    return b""
                await self._wait(until)
                self.send(b"")
                continue
            if not part:
                raise EOFError("the worker has ended")
            self._received += part
            if len(self._received) > LINE_LIMIT:
                raise ValueError(f"the worker says more than {LINE_LIMIT} bytes at once")
        lines, end, self._received = self._received.rpartition(b"\n")
        return lines + end

    def is_silent(self) -> bool:
        """It lives, and has not said what nobody asked for."""
        try:
            self._channel.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return not self._received
        except ConnectionError:
            return False
        return False

    async def _wait(self, until: float) -> None:
        """Until it says something or takes more. Data is read by the caller: a time limit must not
        lose any."""
        loop = asyncio.get_running_loop()
        news = loop.create_future()
        loop.add_reader(self._channel, _wake, news)
        if self._unsent:
            loop.add_writer(self._channel, _wake, news)
        alarm = loop.call_later(until - time.monotonic(), _wake, news)
        try:
            await news
        finally:
            alarm.cancel()
            loop.remove_reader(self._channel)
            loop.remove_writer(self._channel)

    def hang_up(self) -> None:
        """Closes the channel."""
        self._channel.close()


def _wake(news: "asyncio.Future[None]") -> None:
    if not news.done():
        news.set_result(None)


class Forker:
    """Starts and ends workers. When the process that does it has died, with all of its workers, the
    next worker is made by a new one."""

    def __init__(self, command: tuple[str, ...]) -> None:
        self._command = command
        self._process: asyncio.subprocess.Process | None = None
        self._commands: socket.socket
        self._turn = asyncio.Lock()

    async def start(self) -> Worker:
        """A worker that has said it is ready.

        Raises TimeoutError, EOFError, ValueError, OSError."""
        channel, theirs = socket.socketpair()
        try:
            with theirs:
                pid = int(await self._ask(b"start", [theirs.fileno()]))
        except BaseException:
            channel.close()
            raise
        worker = Worker(pid, channel)
        try:
            if not await worker.answers(time.monotonic() + START_TIMEOUT_S):
                raise TimeoutError(f"not ready after {START_TIMEOUT_S:g} s")
        except BaseException:
            await self.end(worker)
            raise
        return worker

    async def end(self, worker: Worker) -> None:
        """Returns when the worker and all that it has started are dead."""
        worker.hang_up()
        try:
            if self._process is not None:
                await self._ask(str(worker.pid).encode())
        except (TimeoutError, EOFError, OSError) as error:
            log.error(
                "the forker of worker %d is gone, and so is the worker: %r", worker.pid, error
            )

    async def close(self) -> None:
        """Ends the process and all workers."""
        async with self._turn:
            await self._discard()

    async def _ask(self, message: bytes, descriptors: Sequence[int] = ()) -> bytes:
        async with self._turn:
            try:
                async with asyncio.timeout(START_TIMEOUT_S):
                    if self._process is None:
                        await self._open()
                    socket.send_fds(self._commands, [message], descriptors)
                    return await self._hear()
            except BaseException:  # nobody knows what it is doing: the next one begins afresh
                await self._discard()
                raise

    async def _open(self) -> None:
        self._commands, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._commands.setblocking(False)
        path = os.pathsep.join(filter(None, sys.path))
        with theirs:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "prorl_verifier.forker", *self._command,
                stdin=theirs.fileno(),
                stdout=asyncio.subprocess.DEVNULL,
                env={"PYTHONPATH": path, "LANG": "C.UTF-8", **ONE_THREAD},
                start_new_session=True,
            )  # fmt: skip
        if await self._hear() != READY:
            raise ValueError("the forker does not say that it is ready")

    async def _hear(self) -> bytes:
        answer = await asyncio.get_running_loop().sock_recv(self._commands, MAX_MESSAGE_BYTES)
        if not answer:
            raise EOFError("the forker has ended")
        return answer

    async def _discard(self) -> None:
        """It ends its workers when it is hung up on; if it does not, they end with it."""
        process, self._process = self._process, None
        if process is None:
            return
        self._commands.close()
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
