"""Files of torch's distributed checkpoints, hashed on their way to the disk."""

import hashlib
import os
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from torch.distributed.checkpoint.filesystem import FileSystem


class HashedFiles(FileSystem):
    """Nothing is read again for its hash: it would not be in the page cache any more where memory
    is short. What is hashed is what was meant to be written."""

    def __init__(self) -> None:
        self.written: dict[str, tuple[int, str]] = {}
        """Name -> bytes and sha256."""

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
        self._sha256 = hashlib.sha256()
        self._size = 0
        self.tell, self.flush = stream.tell, stream.flush
        self.fileno, self.close = stream.fileno, stream.close

    def write(self, data: Any) -> int:
        self._sha256.update(data)
        count = int(self._stream.write(data))
        self._size += count
        return count

    def entry(self) -> tuple[int, str]:
        return self._size, self._sha256.hexdigest()
