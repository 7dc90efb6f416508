"""Files of torch's distributed checkpoints, hashed on their way to the disk."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from torch.distributed.checkpoint.filesystem import FileSystem

from prorl_trainer.checkpoint.checksum import Hasher

PIECE_BYTES = 2**18
"""Hashed and written before the next one: its second reader finds it in a core's cache."""


class HashedFiles(FileSystem):
    """Nothing is read again for its hash: it would not be in the page cache any more where memory
    is short. What is hashed is what was meant to be written."""

    def __init__(self) -> None:
        self.written: dict[str, tuple[int, str]] = {}
        """Name -> bytes and checksum."""

    @contextmanager
    def create_stream(self, path: str | os.PathLike[str], mode: str) -> Generator[Any, None, None]:
        """A new file; it can only be appended to."""
        with super().create_stream(path, mode) as stream:
            hashed = _HashedStream(stream)
            yield hashed
        self.written[os.path.basename(path)] = hashed.entry()

    def rename(self, path: str | os.PathLike[str], new_path: str | os.PathLike[str]) -> None:
        """The hash goes with it."""
        super().rename(path, new_path)
        self.written[os.path.basename(new_path)] = self.written.pop(os.path.basename(path))


class _HashedStream:
    """Has no seek: bytes that were written over would be in the hash."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._hasher = Hasher()
        self._size = 0
        self.tell, self.flush = stream.tell, stream.flush
        self.fileno, self.close = stream.fileno, stream.close

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        for start in range(0, len(view), PIECE_BYTES):
            piece = view[start : start + PIECE_BYTES]
            self._hasher.update(piece)
            self._stream.write(piece)
        self._size += len(view)
        return len(view)

    def entry(self) -> tuple[int, str]:
        return self._size, self._hasher.hexdigest()
