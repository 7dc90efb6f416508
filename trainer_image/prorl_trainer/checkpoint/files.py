"""The file operations of the commit, in one place so that tests can make any of them fail."""

import os
import shutil
from pathlib import Path


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
