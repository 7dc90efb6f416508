"""Files of torch's distributed checkpoints, hashed on their way to the disk."""

import os
from collections.abc import Generator
from contextlib import closing, contextmanager
from typing import Any

from torch.distributed.checkpoint.filesystem import FileSystem

from prorl_trainer.checkpoint.checksum import Hasher
from prorl_trainer.learn.direct_file import BUFFER_BYTES, DirectFile


class HashedFiles(FileSystem):
    """Nothing is read again for its hash: it would not be in the page cache any more where memory
    is short. What is hashed is what was meant to be written. Every file is durable."""

    def __init__(self) -> None:
        self.written: dict[str, tuple[int, str]] = {}
        """Name -> bytes and checksum."""

    @contextmanager
    def create_stream(self, path: str | os.PathLike[str], mode: str) -> Generator[Any, None, None]:
        """A new file; it can only be appended to."""
        with closing(_HashedStream(DirectFile(path))) as stream:
            yield stream
        self.written[os.path.basename(path)] = stream.entry()

    def rename(self, path: str | os.PathLike[str], new_path: str | os.PathLike[str]) -> None:
        """The hash goes with it."""
        super().rename(path, new_path)
        self.written[os.path.basename(new_path)] = self.written.pop(os.path.basename(path))


class _HashedStream:
    """Has no seek: bytes that were written over would be in the hash."""

    def __init__(self, file: DirectFile) -> None:
        self._file = file
        self._hasher = Hasher()
        self.tell, self.flush, self.close = file.tell, file.flush, file.close

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        for start in range(0, len(view), BUFFER_BYTES):
            piece = view[start : start + BUFFER_BYTES]
            self._hasher.update(piece)  # its copy then comes from the processor's cache
            self._file.write(piece)
        return len(view)

    def entry(self) -> tuple[int, str]:
        return self._file.tell(), self._hasher.hexdigest()
