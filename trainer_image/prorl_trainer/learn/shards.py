"""One rank's shards of a checkpoint: written, durable and hashed; and read.

A place is a directory, or s3://BUCKET/PREFIX: there a rank writes to a directory of its own and
uploads it, and reads the byte ranges that it needs.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint.api import CheckpointException

from prorl_trainer.checkpoint.manifest import sha256
from prorl_trainer.errors import CheckpointError, StorageError, one_line
from prorl_trainer.types import ShardFiles

BUCKET_SCHEME = "s3://"
FAULTS = (OSError, ValueError, KeyError, CheckpointException)
"""What reading shards may raise."""


def write_shards(
    state: dict[str, Any], place: str, *, rank: int, group: dist.ProcessGroup | None
) -> ShardFiles:
    """A collective of `group`, which must have a CPU backend; None: the only rank. Raises
    StorageError."""
    with _directory_for(place) as directory:
        files = _write(state, directory, rank=rank, group=group)
        if place.startswith(BUCKET_SCHEME):
            from prorl_trainer.checkpoint.objects import Objects  # its library is large

            objects = Objects(place)
            for name in sorted(files):
                objects.upload(name, directory / name)
    return ShardFiles(files=files)


@contextmanager
def _directory_for(place: str) -> Iterator[Path]:
    if not place.startswith(BUCKET_SCHEME):
        yield Path(place)
        return
    with tempfile.TemporaryDirectory(prefix="shards-") as directory:
        yield Path(directory)


def _write(
    state: dict[str, Any], directory: Path, *, rank: int, group: dist.ProcessGroup | None
) -> dict[str, tuple[int, str]]:
    try:
        writer = dcp.FileSystemWriter(directory, sync_files=True)
        dcp.save(state, storage_writer=writer, process_group=group, no_dist=group is None)
        return _hash_files(directory, rank)
    except OSError as error:
        raise StorageError(
            f"The shards cannot be written to {directory}: {error}. The last checkpoint stands."
        ) from error
    except CheckpointException as error:
        for failed, (cause, _) in sorted(error.failures.items()):
            if words := _storage_words(cause):
                raise StorageError(
                    f"Rank {failed} cannot write its shards to {directory}: {words}. "
                    "The last checkpoint stands."
                ) from error
        raise


def read_shards(state: dict[str, Any], place: str, *, alone: bool) -> None:
    """Fills the tensors of `state`, in place, with what any number of ranks has written under the
    same names. A collective of all ranks unless `alone`. Raises CheckpointError on all of them;
    some tensors may have been filled then."""
    try:
        dcp.load(state, storage_reader=shard_reader(place), no_dist=alone)
    except FAULTS as error:
        raise CheckpointError(
            f"The shards in {place} cannot be loaded: {one_line(error)}"
        ) from error


def shard_reader(place: str) -> dcp.FileSystemReader:
    """Of torch's distributed checkpoints."""
    if not place.startswith(BUCKET_SCHEME):
        return dcp.FileSystemReader(place)
    from prorl_trainer.learn.bucket_reader import BucketReader

    return BucketReader(place)


def _storage_words(cause: BaseException) -> str:
    """What a failure to write says; nothing for others. torch's archive writer raises no OSError
    when only its last bytes do not get out."""
    if isinstance(cause, OSError):
        return str(cause)
    return "the last bytes were not taken" if "inline_container" in str(cause) else ""


def _hash_files(directory: Path, rank: int) -> dict[str, tuple[int, str]]:
    mine = [p for p in sorted(directory.iterdir()) if p.name.startswith(f"__{rank}_")]
    if rank == 0:
        mine.append(directory / ".metadata")
    return {p.name: (p.stat().st_size, sha256(p)) for p in mine}
