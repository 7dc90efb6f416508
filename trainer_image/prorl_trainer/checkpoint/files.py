"""The file operations of the commit, in one place so that tests can make any of them fail."""

import errno
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prorl_trainer.errors import StorageAwayError, StorageError

AWAY = frozenset(
    {
        errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.ENOTCONN, errno.ENODEV, errno.ENXIO,
        errno.EREMOTEIO, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETDOWN, errno.ENETUNREACH,
        errno.ECONNREFUSED, errno.ECONNRESET, errno.ECONNABORTED, errno.ESHUTDOWN,
    }
)  # fmt: skip
"""What Linux says when a file server or a device does not answer."""


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

    def link(self, source: Path, target: Path) -> None:
        """A second name for a file; fails if target is there."""
        target.hardlink_to(source)

    def remove_tree(self, path: Path) -> None:
        """Deletes a directory."""
        shutil.rmtree(path)


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turns OSError into StorageError naming the path, and what may be the cause."""
    try:
        yield
    except OSError as error:
        raise storage_error(
            error, path, f"{path} cannot be written: {{}}. The last checkpoint stands."
        ) from error


def storage_error(error: OSError, path: Path, sentence: str) -> StorageError:
    """For the user; the cause takes the place of {} in the sentence."""
    kind = StorageAwayError if error.errno in AWAY else StorageError
    return kind(sentence.format(_cause(error, path)))


def _cause(error: OSError, path: Path) -> str:
    name = errno.errorcode.get(error.errno or 0, "unknown")
    about = _permissions(path) if error.errno in (errno.EACCES, errno.EPERM) else _free(path)
    return f"{error.strerror} ({name}){about}"


def _permissions(path: Path) -> str:
    """Who asks, and what is refused at the first place from below that can be looked at."""
    for place in (path, *path.parents):
        try:
            found = place.stat()
        except OSError:
            continue
        return (
            f", this is user {os.geteuid()}:{os.getegid()}, and {place} belongs to "
            f"{found.st_uid}:{found.st_gid} with mode {stat.filemode(found.st_mode)}"
        )
    return ""


def _free(path: Path) -> str:
    try:
        existing = next(p for p in (path, *path.parents) if p.exists())
        return f", {shutil.disk_usage(existing).free} bytes are free"
    except OSError as error:  # the file system may be gone altogether
        return f", its file system does not answer: {error.strerror}"
