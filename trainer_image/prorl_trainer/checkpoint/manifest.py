"""The manifest makes a directory a checkpoint: what is in it, byte for byte."""

import hashlib
import json
from pathlib import Path
from typing import Any

from prorl_api.base import ApiModel
from prorl_api.canonical import dumps
from pydantic import BaseModel, Field, ValidationError

from prorl_trainer.checkpoint.checksum import file_checksum
from prorl_trainer.errors import CheckpointError, one_line

SCHEMA_VERSION = 2
MANIFEST = "manifest.json"
DIGEST = "digest"
"""Key of the manifest's own sha256, over the canonical JSON of all its other keys."""
STATE = "state.json"
SHARDS = "shards"
"""Directory of the learners' files."""
REFERENCE = "reference"
"""Directory in it of those that hold the frozen reference."""


class FileEntry(ApiModel):
    """One file."""

    size_bytes: int = Field(ge=0)
    checksum: str
    """checksum.py's, in hex."""


class _Version(BaseModel):
    schema_version: int = Field(alias="schemaVersion")


class Manifest(ApiModel):
    """Written last, before the rename that commits."""

    schema_version: int = SCHEMA_VERSION
    step: int
    attempt: int
    job_uid: str
    created: float
    """Unix time in seconds."""
    data: str = ""
    """In a bucket: the part of the keys between the step and the files; in a directory nothing."""
    files: dict[str, FileEntry]
    """Relative path -> size and hash of everything but the manifest."""

    @property
    def size_bytes(self) -> int:
        """Size of the checkpoint."""
        return sum(entry.size_bytes for entry in self.files.values())

    def encode(self) -> bytes:
        """As JSON, with a digest of it: a flipped bit must not look like a newer version."""
        document = self.model_dump(mode="json", by_alias=True)
        return dumps(document | {DIGEST: _digest(document)}).encode()


def read_manifest(directory: Path) -> Manifest:
    """Raises ValueError with what is wrong, CheckpointError if another version has written it."""
    try:
        data = (directory / MANIFEST).read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ValueError(f"{MANIFEST} is missing") from error
    return parse_manifest(data, str(directory))


def parse_manifest(data: bytes, where: str) -> Manifest:
    """See read_manifest. `where` is what messages call the checkpoint."""
    document = _as_written(data)
    _refuse_other_version(document, where)
    try:
        return Manifest.model_validate(document)
    except ValidationError as error:
        raise ValueError(f"{MANIFEST} is malformed: {error.errors()[0]['msg']}") from error


def _as_written(data: bytes) -> dict[str, Any]:
    """Without its digest, which every version writes in the same way. Raises ValueError."""
    try:
        document = json.loads(data)
        digest = document.pop(DIGEST)
        whole = digest == _digest(document)
    except (ValueError, AttributeError, TypeError, KeyError, RecursionError) as error:
        raise ValueError(f"{MANIFEST} is malformed: {one_line(error)}") from error
    if not whole:
        raise ValueError(f"{MANIFEST} is not as it was written")
    return dict(document)


def _digest(document: dict[str, Any]) -> str:
    return hashlib.sha256(dumps(document).encode()).hexdigest()


def _refuse_other_version(document: dict[str, Any], where: str) -> None:
    """What another version wrote is not broken: it must not be set aside."""
    try:
        version = _Version.model_validate(document).schema_version
    except ValidationError:
        return  # the caller says what is wrong
    if version != SCHEMA_VERSION:
        age = "a newer" if version > SCHEMA_VERSION else "an older"
        raise CheckpointError(
            f"{where} was written by {age} version (schemaVersion {version}, this one reads "
            f"{SCHEMA_VERSION}). Use the image that wrote it."
        )


def verify(directory: Path) -> Manifest:
    """Reads every byte. Raises ValueError naming the first file that is not as it was written."""
    manifest = read_manifest(directory)
    check_files(directory, manifest, hashes=True)
    return manifest


def check_files(directory: Path, manifest: Manifest, *, hashes: bool) -> None:
    """Raises ValueError naming the first file that is not as the manifest says; without `hashes`
    only sizes are compared."""
    for name, entry in sorted(manifest.files.items()):
        path = directory / name
        if not path.is_file():
            raise ValueError(f"{name} is missing")
        found = FileEntry(
            size_bytes=path.stat().st_size,
            checksum=file_checksum(path) if hashes else entry.checksum,
        )
        compare(name, found, entry)


def compare(name: str, found: FileEntry, wanted: FileEntry) -> None:
    """Raises ValueError naming the file that is not as it was written."""
    if found.size_bytes != wanted.size_bytes:
        raise ValueError(f"{name} has {found.size_bytes} bytes, must have {wanted.size_bytes}")
    if found.checksum != wanted.checksum:
        raise ValueError(f"{name} has another checksum than the manifest says")
