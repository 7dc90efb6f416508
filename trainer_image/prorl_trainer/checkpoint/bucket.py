"""Checkpoints in an S3 bucket: PREFIX/step-00000042/{manifest.json, DATA/state.json, ...}.

Nothing can be renamed here: the files of each try to save have keys of their own (DATA names the
attempt), and creating manifest.json, which fails if there is one, is the commit. To set a
checkpoint aside its manifest is copied to manifest.json.bad-*, then deleted; its files stay.
"""

import logging
import re
import uuid
from collections.abc import Collection

from prorl_trainer.checkpoint.checksum import checksum_of
from prorl_trainer.checkpoint.manifest import (
    MANIFEST,
    SHARDS,
    FileEntry,
    Manifest,
    compare,
    parse_manifest,
)
from prorl_trainer.checkpoint.objects import MAX_COPY_BYTES, Objects
from prorl_trainer.errors import CheckpointError, StorageError

log = logging.getLogger(__name__)

CLAIM = "attempt-{:08d}"
CLAIM_KEY = re.compile(r"^attempt-(\d{8})$")
MANIFEST_KEY = re.compile(rf"^step-(\d{{8}})/{re.escape(MANIFEST)}$")
ASIDE_KEY = re.compile(rf"^step-\d{{8}}/{re.escape(MANIFEST)}\.bad-\w+$")
DATA_KEY = re.compile(r"^(step-\d{8})/(data-(\d+)-\w+)/")


class Bucket:
    """medium.Medium in a bucket."""

    def __init__(self, objects: Objects) -> None:
        self.place = objects.uri
        self._objects = objects

    def prepare(self) -> None:
        """See Medium."""

    def claims(self) -> dict[int, str]:
        """See Medium."""
        found = {key: m[1] for key in self._objects.list() if (m := CLAIM_KEY.match(key))}
        return {int(n): (self._objects.get(key) or b"").decode() for key, n in found.items()}

    def claim(self, number: int, job_uid: str) -> None:
        """See Medium. Of two that want the same number the slower one may be another job's."""
        key = CLAIM.format(number)
        if self._objects.create(key, job_uid.encode()):
            return
        owner = (self._objects.get(key) or b"").decode()
        if owner != job_uid:
            raise CheckpointError(
                f"Attempt {number} of {self.place} was claimed by another job ({owner})."
            )

    def steps(self) -> list[int]:
        """See Medium."""
        return sorted(int(m[1]) for key in self._objects.list() if (m := MANIFEST_KEY.match(key)))

    def aside(self) -> list[str]:
        """See Medium."""
        return sorted(key for key in self._objects.list() if ASIDE_KEY.match(key))

    def name(self, step: int) -> str:
        """See Medium."""
        return self._objects.name(_directory(step))

    def manifest(self, step: int) -> Manifest:
        """See Medium."""
        data = self._objects.get(f"{_directory(step)}/{MANIFEST}")
        if data is None:
            raise ValueError(f"{MANIFEST} is missing")
        return parse_manifest(data, self.name(step))

    def check(self, step: int, manifest: Manifest, *, hashes: bool) -> None:
        """See Medium."""
        sizes = self._objects.list(f"{_directory(step)}/")
        for name, entry in sorted(manifest.files.items()):
            key = file_key(step, manifest, name)
            if key not in sizes:
                raise ValueError(f"{name} is missing")
            compare(name, FileEntry(size_bytes=sizes[key], checksum=entry.checksum), entry)
            if hashes:
                compare(name, self._objects.digest(key) or FileEntry(size_bytes=0, checksum=""),
                        entry)  # fmt: skip

    def document(self, step: int, manifest: Manifest, name: str) -> bytes:
        """See Medium."""
        data = self._objects.get(file_key(step, manifest, name))
        if data is None:
            raise ValueError(f"{name} is missing")
        return data

    def shards(self, step: int, manifest: Manifest) -> str:
        """See Medium."""
        return self._objects.name(file_key(step, manifest, SHARDS))

    def begin(self, step: int, attempt: int) -> "BucketDraft":
        """See Medium."""
        return BucketDraft(self._objects, step, f"data-{attempt}-{uuid.uuid4().hex[:8]}")

    def set_aside(self, step: int, reason: str) -> None:
        """See Medium. Between its two acts the step is still there, and is set aside again."""
        key = f"{_directory(step)}/{MANIFEST}"
        self._objects.put(f"{key}.bad-{uuid.uuid4().hex[:8]}", self._objects.get(key) or b"")
        self._objects.delete([key])

    def remove(self, step: int) -> None:
        """See Medium: the manifest goes first. What a crash leaves then is swept."""
        key = f"{_directory(step)}/{MANIFEST}"
        data = self._objects.get(key)
        if data is not None:
            manifest = parse_manifest(data, self.name(step))
            self._objects.delete([key])
            self._objects.delete(self._objects.list(file_key(step, manifest, "")))

    def sweep(self, attempt: int | None) -> None:
        """See Medium: files that no manifest names, neither one that was set aside."""
        keys = self._objects.list()
        drafts = {(m[1], m[2]) for key in keys if (m := DATA_KEY.match(key)) and _of(m, attempt)}
        if not drafts:
            return
        named = b"".join(self._objects.get(key) or b"" for key in keys if MANIFEST in key)
        for directory, data in drafts:
            if data.encode() not in named:
                start = f"{directory}/{data}/"
                self._objects.delete(key for key in keys if key.startswith(start))


class BucketDraft:
    """medium.Draft: keys that no manifest names."""

    def __init__(self, objects: Objects, step: int, data: str) -> None:
        self.data = data
        self._objects = objects
        self._directory = _directory(step)
        self._manifest = b""
        self._may_be_published = False

    @property
    def shards(self) -> str:
        """See Draft."""
        return self._objects.name(self._key(SHARDS))

    def write(self, name: str, data: bytes) -> FileEntry:
        """See Draft."""
        self._objects.put(self._key(name), data)
        return FileEntry(size_bytes=len(data), checksum=checksum_of(data))

    def share(self, source: Manifest, names: Collection[str]) -> bool:
        """See Draft: copies that the bucket makes."""
        largest = max(source.files[name].size_bytes for name in names)
        if largest > MAX_COPY_BYTES:
            log.info("%s is written anew: %d bytes are no copy", self.shards, largest)
            return False
        keys = {file_key(source.step, source, name): self._key(name) for name in names}
        return all(self._objects.copy(key, own) for key, own in keys.items())

    def accept(self, name: str, size_bytes: int, checksum: str) -> FileEntry:
        """See Draft."""
        key = self._key(name)
        found = self._objects.size(key)
        if found != size_bytes:
            raise StorageError(
                f"{self._objects.name(key)} has {found or 0} bytes, {size_bytes} were written."
            )
        return FileEntry(size_bytes=size_bytes, checksum=checksum)

    def seal(self, manifest: Manifest) -> None:
        """See Draft."""
        self._manifest = manifest.encode()

    def publish(self) -> None:
        """See Draft: the manifest names this try alone, so it is never taken for another's."""
        self._may_be_published = True
        key = f"{self._directory}/{MANIFEST}"
        if not self._objects.create(key, self._manifest):
            self._may_be_published = False
            raise CheckpointError(
                f"{self._objects.name(self._directory)} exists already, another writer was faster; "
                "a checkpoint is never overwritten."
            )

    def discard(self) -> None:
        """See Draft. A manifest whose answer was lost may name the files: then they stay."""
        if self._may_be_published:
            return
        try:
            self._objects.delete(self._objects.list(self._key("")))
        except StorageError as error:
            log.warning("checkpoint=%s not removed: %s", self._directory, error)

    def _key(self, name: str) -> str:
        return f"{self._directory}/{self.data}/{name}"


def _directory(step: int) -> str:
    return f"step-{step:08d}"


def file_key(step: int, manifest: Manifest, name: str) -> str:
    """Of a file that the manifest names."""
    return f"{_directory(step)}/{manifest.data}/{name}"


def _of(match: "re.Match[str]", attempt: int | None) -> bool:
    return attempt is None or int(match[3]) == attempt
