"""A new file, written past the page cache.

Copying gigabytes into the page cache costs three times the CPU and memory time of all else that
writing a checkpoint does, on the cores that train meanwhile; and throws out what others read.
"""

import errno
import fcntl
import mmap
import os

import numpy as np

BUFFER_BYTES = 4 * 2**20
"""Few acts on much: between them the writer wants the interpreter's lock, and so does the step that
is computed meanwhile."""


class DirectFile:
    """One that is there is refused: it may be a link, whose bytes are another checkpoint's too.
    It can only be appended to, and is durable once it is closed. Where the file system has no
    O_DIRECT, or not for these sizes, bytes take the usual way. Methods raise OSError."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        self._direct = self._set_direct(True)
        memory = mmap.mmap(-1, BUFFER_BYTES)  # aligned, as O_DIRECT wants it
        self._buffer, self._array = memoryview(memory), np.frombuffer(memory, np.uint8)
        self._filled = self._size = 0
        self._closed = False

    def write(self, data: memoryview) -> int:
        """All of it; bytes."""
        source, start = np.frombuffer(data, np.uint8), 0
        while start < len(data):
            count = min(len(data) - start, BUFFER_BYTES - self._filled)
            # Unlike a memoryview, numpy lets go of the interpreter's lock while it copies.
            np.copyto(self._array[self._filled :][:count], source[start:][:count])
            self._filled += count
            start += count
            if self._filled == BUFFER_BYTES:
                self._write_out()
        self._size += len(data)
        return len(data)

    def tell(self) -> int:
        """Bytes so far."""
        return self._size

    def flush(self) -> None:
        """Nothing: only whole buffers can be written, but for the last."""

    def close(self) -> None:
        """Writes what is left, and fsyncs."""
        if self._closed:
            return
        self._closed = True
        try:
            if self._filled:
                self._set_direct(False)  # the end is of no size that it takes
                self._write_out()
            os.fsync(self._descriptor)
        finally:
            os.close(self._descriptor)

    def _write_out(self) -> None:
        left = self._buffer[: self._filled]
        while left:
            try:
                left = left[os.write(self._descriptor, left) :]
            except OSError as error:
                if error.errno != errno.EINVAL or not self._direct:
                    raise
                self._direct = self._set_direct(False)
        self._filled = 0

    def _set_direct(self, wanted: bool) -> bool:
        """Whether it is so now."""
        flags = fcntl.fcntl(self._descriptor, fcntl.F_GETFL) & ~os.O_DIRECT
        try:
            fcntl.fcntl(self._descriptor, fcntl.F_SETFL, flags | (os.O_DIRECT if wanted else 0))
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            return False
        return wanted
