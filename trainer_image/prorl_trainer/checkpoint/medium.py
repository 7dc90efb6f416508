"""Where checkpoints lie, as a Protocol: a directory (directory.py) or a bucket (bucket.py).

Methods raise StorageError when the place does not do what it is asked for.
"""

from collections.abc import Collection
from typing import Protocol

from prorl_trainer.checkpoint.manifest import FileEntry, Manifest


class Draft(Protocol):
    """A checkpoint that is being written. Nobody can load it."""

    data: str
    """Manifest.data of the checkpoint to be."""

    @property
    def shards(self) -> str:
        """Where the learners write theirs."""
        ...

    def write(self, name: str, data: bytes) -> FileEntry:
        """A document, durable."""
        ...

    def share(self, source: Manifest, names: Collection[str]) -> bool:
        """Takes files of another checkpoint as they are, without writing their bytes. False where
        that cannot be done: they must be written then."""
        ...

    def accept(self, name: str, size_bytes: int, checksum: str) -> FileEntry:
        """A file of the learners, or a shared one, durable; it must have the size that its
        writer says."""
        ...

    def seal(self, manifest: Manifest) -> None:
        """Everything but the last, atomic act."""
        ...

    def publish(self) -> None:
        """Makes it a checkpoint, all of it at once. Raises CheckpointError if the step is there."""
        ...

    def discard(self) -> None:
        """Removes it. Never raises: whoever still writes to it may get in the way."""
        ...


class Medium(Protocol):
    """Checkpoints by step, and the claims of attempts. It decides nothing."""

    place: str
    """What messages call it."""

    def prepare(self) -> None:
        """Makes the place, if it must be made."""
        ...

    def claims(self) -> dict[int, str]:
        """Number -> UID of the job that claimed it; empty where a crash has cut the claim."""
        ...

    def claim(self, number: int, job_uid: str) -> None:
        """Adds a claim, durable. One that is there stays as it is."""
        ...

    def steps(self) -> list[int]:
        """Of the checkpoints, in order, without those set aside."""
        ...

    def aside(self) -> list[str]:
        """Names of those that were set aside, in order."""
        ...

    def name(self, step: int) -> str:
        """What messages call the checkpoint."""
        ...

    def manifest(self, step: int) -> Manifest:
        """Raises ValueError with what is wrong, CheckpointError if another version wrote it."""
        ...

    def check(self, step: int, manifest: Manifest, *, hashes: bool) -> None:
        """Raises ValueError naming the first file that is not as the manifest says; without
        `hashes` only sizes are compared."""
        ...

    def document(self, step: int, manifest: Manifest, name: str) -> bytes:
        """A file's content. Raises ValueError if it is not there."""
        ...

    def shards(self, step: int, manifest: Manifest) -> str:
        """What the learners load from."""
        ...

    def begin(self, step: int, attempt: int) -> Draft:
        """A new draft."""
        ...

    def set_aside(self, step: int, reason: str) -> None:
        """From now on it is no checkpoint; its bytes stay."""
        ...

    def remove(self, step: int) -> None:
        """Never leaves half a checkpoint that looks like one."""
        ...

    def sweep(self, attempt: int | None) -> None:
        """Removes drafts: of one attempt, or all. Those that resist are logged."""
        ...
