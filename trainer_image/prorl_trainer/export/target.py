"""Where an export goes. A target shows the whole export or none of it."""

import shutil
import tempfile
import uuid
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from prorl_api import runtime

from prorl_trainer.checkpoint.files import Files, storage_errors
from prorl_trainer.context import Context
from prorl_trainer.errors import ConfigError
from prorl_trainer.export.manifest import EXPORT, ExportManifest, parse_manifest


class Target(Protocol):
    """One place. Methods raise StorageError."""

    uri: str
    """What status calls it."""

    def existing(self) -> ExportManifest | None:
        """The export that is there; None: nothing. Raises ConfigError if it is anything else."""
        ...

    def check_writable(self) -> None:
        """Raises StorageError."""
        ...

    def staging(self) -> Path:
        """An empty directory to fill; what earlier attempts have left is removed."""
        ...

    def commit(self, staging: Path) -> None:
        """Makes what is in the directory the export; the directory is gone then."""
        ...


class DirectoryTarget:
    """A directory, filled beside its place and renamed."""

    def __init__(self, path: Path, uri: str, files: Files | None = None) -> None:
        self.uri = uri
        self._path = path
        self._files = files or Files()

    def existing(self) -> ExportManifest | None:
        """See Target."""
        if not self._path.exists():
            return None
        manifest = self._path / EXPORT
        found = parse_manifest(manifest.read_bytes()) if manifest.is_file() else None
        if found is None:
            raise ConfigError(
                f"The export {self.uri} cannot be made: there is something else at {self._path}, "
                "and nothing is ever overwritten."
            )
        return found

    def check_writable(self) -> None:
        """See Target."""
        drop(self.staging())

    def staging(self) -> Path:
        """See Target."""
        with storage_errors(self._path):
            self._files.make_directory(self._path.parent)
            for leftover in self._path.parent.glob(f".{self._path.name}.tmp-*"):
                self._files.remove_tree(leftover)
            staging = self._path.with_name(f".{self._path.name}.tmp-{uuid.uuid4().hex[:8]}")
            self._files.make_directory(staging)
        return staging

    def commit(self, staging: Path) -> None:
        """See Target."""
        with storage_errors(self._path):
            for path in sorted(staging.iterdir()):
                self._files.sync(path)
            self._files.sync(staging)
            self._files.rename(staging, self._path)
            self._files.sync(self._path.parent)


def open_target(uri: str, context: Context) -> Target:
    """The target of spec.export.uri. Raises ConfigError."""
    parts = urlsplit(uri)
    if parts.scheme == "pvc":
        path = Path(runtime.EXPORT_CLAIM_DIR) / parts.path.lstrip("/")
        if path == Path(runtime.EXPORT_CLAIM_DIR):
            raise ConfigError(f"spec.export.uri {uri}: a claim needs a path, pvc://CLAIM/PATH.")
        return DirectoryTarget(path, uri)
    if parts.scheme == "file":
        if not context.local:
            raise ConfigError(
                f"spec.export.uri {uri}: nothing of it would outlive the pod; use pvc://CLAIM/PATH "
                "or s3://BUCKET/PREFIX."
            )
        return DirectoryTarget(Path(parts.path), uri)
    from prorl_trainer.export.s3_target import S3Target  # its library is large

    return S3Target(uri, context.directory / "exports")


def offline_target(out: str) -> Target:
    """The target of `prorl export --out`. Raises ConfigError."""
    parts = urlsplit(out)
    if parts.scheme == "s3":
        from prorl_trainer.export.s3_target import S3Target

        return S3Target(out, Path(tempfile.gettempdir()))
    if parts.scheme:
        raise ConfigError(f"--out {out}: must be a directory or s3://BUCKET/PREFIX.")
    return DirectoryTarget(Path(out).absolute(), out)


def drop(staging: Path) -> None:
    """Removes a directory that was not committed."""
    shutil.rmtree(staging, ignore_errors=True)
