"""Checkpoints in a directory: DIRECTORY/step-00000042/{manifest.json, state.json, shards/...}.

Files in shards/reference/ may be hard links to those of an earlier checkpoint (references.py). A
directory with another name is no checkpoint: `.tmp-` is being written, `.bad-` was set aside.
Commit: write and fsync everything in a temporary directory, manifest last, rename, fsync parent.
"""

import errno
import fnmatch
import logging
import re
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from prorl_trainer.checkpoint import manifest as manifests
from prorl_trainer.checkpoint.checksum import checksum_of
from prorl_trainer.checkpoint.files import Files, storage_error, storage_errors
from prorl_trainer.checkpoint.manifest import MANIFEST, SHARDS, FileEntry, Manifest
from prorl_trainer.errors import CheckpointError, StorageError

log = logging.getLogger(__name__)

STEP_NAME = re.compile(r"^step-(\d{8})$")
NO_LINK = frozenset(
    {
        errno.EPERM, errno.EACCES, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.EMLINK,
        errno.EXDEV, errno.ENOENT,
    }
)  # fmt: skip
"""What a file system says that has no hard links, or not this one."""
CLAIM = "attempt-{:08d}"
CLAIM_NAME = re.compile(r"^attempt-(\d{8})$")


class Directory:
    """medium.Medium in a file system."""

    def __init__(self, path: Path, files: Files | None = None) -> None:
        self.place = str(path)
        self._path = path
        self._files = files or Files()

    def prepare(self) -> None:
        """See Medium."""
        with storage_errors(self._path):
            self._files.make_directory(self._path)

    def claims(self) -> dict[int, str]:
        """See Medium."""
        with storage_errors(self._path):
            found = ((CLAIM_NAME.match(p.name), p) for p in self._path.iterdir())
            return {int(m[1]): p.read_text(errors="replace") for m, p in found if m}

    def claim(self, number: int, job_uid: str) -> None:
        """See Medium."""
        path = self._path / CLAIM.format(number)
        with storage_errors(self._path):
            if not path.exists():
                self._files.write(path, job_uid.encode())
                self._files.sync(self._path)

    def steps(self) -> list[int]:
        """See Medium."""
        return [int(m[1]) for name in self._names() if (m := STEP_NAME.match(name))]

    def aside(self) -> list[str]:
        """See Medium."""
        return [name for name in self._names() if ".bad-" in name]

    def name(self, step: int) -> str:
        """See Medium."""
        return str(self._directory(step))

    def manifest(self, step: int) -> Manifest:
        """See Medium."""
        with _reading(self._directory(step)):
            return manifests.read_manifest(self._directory(step))

    def check(self, step: int, manifest: Manifest, *, hashes: bool) -> None:
        """See Medium."""
        with _reading(self._directory(step)):
            manifests.check_files(self._directory(step), manifest, hashes=hashes)

    def document(self, step: int, manifest: Manifest, name: str) -> bytes:
        """See Medium."""
        with _reading(self._directory(step)):
            return (self._directory(step) / name).read_bytes()

    def shards(self, step: int, manifest: Manifest) -> str:
        """See Medium."""
        return str(self._directory(step) / SHARDS)

    def begin(self, step: int, attempt: int) -> "DirectoryDraft":
        """See Medium."""
        return DirectoryDraft(self._directory(step), attempt, self._files)

    def set_aside(self, step: int, reason: str) -> None:
        """See Medium."""
        directory = self._directory(step)
        with storage_errors(directory):
            bad = directory.with_name(f"{directory.name}.bad-{uuid.uuid4().hex[:8]}")
            self._files.rename(directory, bad)

    def remove(self, step: int) -> None:
        """See Medium."""
        directory = self._directory(step)
        with storage_errors(directory):
            going = directory.with_name(f"{directory.name}.tmp-pruned")
            self._files.rename(directory, going)
            self._files.remove_tree(going)

    def sweep(self, attempt: int | None) -> None:
        """See Medium."""
        of_whom = "*" if attempt is None else f"{attempt}-*"
        for leftover in fnmatch.filter(self._names(), f"step-*.tmp-{of_whom}"):
            _discard(self._path / leftover, self._files)

    def _names(self) -> list[str]:
        """Of all that is there, in order; none where it was never made. What cannot be listed must
        not look empty."""
        try:
            with _reading(self._path):
                return sorted(path.name for path in self._path.iterdir())
        except ValueError:
            return []

    def _directory(self, step: int) -> Path:
        return _directory(self._path, step)


def _directory(path: Path, step: int) -> Path:
    return path / f"step-{step:08d}"


class DirectoryDraft:
    """medium.Draft beside its place."""

    data = ""

    def __init__(self, target: Path, attempt: int, files: Files) -> None:
        self._target = target
        self._path = target.with_name(f"{target.name}.tmp-{attempt}-{uuid.uuid4().hex[:8]}")
        self._files = files
        with storage_errors(target):
            files.make_directory(self._path / SHARDS)

    @property
    def shards(self) -> str:
        """See Draft."""
        return str(self._path / SHARDS)

    def write(self, name: str, data: bytes) -> FileEntry:
        """See Draft."""
        with storage_errors(self._target):
            self._files.write(self._path / name, data)
            return FileEntry(size_bytes=len(data), checksum=checksum_of(data))

    def share(self, source: Manifest, names: Collection[str]) -> bool:
        """See Draft: hard links."""
        with storage_errors(self._target):
            for name in names:
                path = self._path / name
                self._files.make_directory(path.parent)
                try:
                    self._files.link(_directory(self._path.parent, source.step) / name, path)
                except OSError as error:
                    if error.errno not in NO_LINK:
                        raise
                    log.warning("%s is written anew: no hard link: %s", path.parent, error)
                    # Whoever writes must not find a link: it would write into both checkpoints.
                    self._files.remove_tree(path.parent)
                    return False
        return True

    def accept(self, name: str, size_bytes: int, checksum: str) -> FileEntry:
        """See Draft."""
        path = self._path / name
        with storage_errors(self._target):
            found = path.stat().st_size
            if found != size_bytes:
                raise StorageError(f"{path} has {found} bytes, {size_bytes} were written.")
            self._files.sync(path)  # its rank did so too, but on another node perhaps
        return FileEntry(size_bytes=size_bytes, checksum=checksum)

    def seal(self, manifest: Manifest) -> None:
        """See Draft."""
        data = manifest.encode()
        with storage_errors(self._target):
            for directory in {(self._path / name).parent for name in manifest.files} - {self._path}:
                self._files.sync(directory)
            self._files.write(self._path / MANIFEST, data)
            self._files.sync(self._path)

    def publish(self) -> None:
        """See Draft."""
        with storage_errors(self._target):
            try:
                self._files.rename(self._path, self._target)
            except OSError as error:
                if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                    raise CheckpointError(
                        f"{self._target} exists already; a checkpoint is never overwritten."
                    ) from error
                raise
            self._files.sync(self._target.parent)

    def discard(self) -> None:
        """See Draft."""
        _discard(self._path, self._files)


def _discard(path: Path, files: Files) -> None:
    try:
        files.remove_tree(path)
    except OSError as error:
        log.warning("checkpoint=%s not removed: %s", path.name, error)


@contextmanager
def _reading(directory: Path) -> Iterator[None]:
    """What is not there is wrong with the checkpoint; other errors are the file system's."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ValueError(f"{Path(error.filename or '').name} is missing") from error
    except OSError as error:
        raise storage_error(
            error, directory, f"{directory} cannot be read: {{}}. It was left as it is."
        ) from error
