"""The file operations of the commit, in one place so that tests can make any of them fail."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prorl_trainer.errors import StorageError


class Files:
    """Durable primitives. Every method may raise OSError."""

    def make_directory(self, path: Path) -> None:
        """Creates it and its parents."""
        path.mkdir(parents=True, exist_ok=True)

    def write(self, path: Path, data: bytes) -> None:
        """Writes and fsyncs a new file."""
        with path.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())

    def append(self, path: Path, data: bytes) -> None:
        """Writes at the end of a file and fsyncs it."""
        with path.open("ab") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())

    def sync(self, path: Path) -> None:
        """fsync of a file or a directory."""
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def rename(self, source: Path, target: Path) -> None:
        """Atomic; fails if target is a directory that is not empty."""
        source.rename(target)

    def remove_tree(self, path: Path) -> None:
        """Deletes a directory."""
        shutil.rmtree(path)


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turns OSError into StorageError naming the path and the space that is left."""
    try:
        yield
    except OSError as error:
        name = errno.errorcode.get(error.errno or 0, "unknown")
        raise StorageError(
            f"{path} cannot be written: {error.strerror} ({name}){_free(path)}. "
            "The last checkpoint stands."
        ) from error


def _free(path: Path) -> str:
    try:
        existing = next(p for p in (path, *path.parents) if p.exists())
        return f", {shutil.disk_usage(existing).free} bytes are free"
    except OSError as error:  # the file system may be gone altogether
        return f", its file system does not answer: {error.strerror}"
