"""One rank's shards of a checkpoint: written, durable and hashed; and read.

A place is a directory, or s3://BUCKET/PREFIX: there a rank writes to a directory of its own and
uploads it, and reads the byte ranges that it needs.
"""

import os
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint.api import CheckpointException
from torch.serialization import get_crc32_options, set_crc32_options

from prorl_trainer.checkpoint.files import storage_error
from prorl_trainer.checkpoint.manifest import REFERENCE
from prorl_trainer.errors import CheckpointError, StorageError, one_line
from prorl_trainer.learn.hashed_files import HashedFiles
from prorl_trainer.types import ShardFiles

BUCKET_SCHEME = "s3://"
WRITER_NICE = 10
"""On top of the process's: a tenth of the time on a core that a thread which computes gets, if
there is not enough."""
MAX_NICE = 19
FAULTS = (OSError, ValueError, KeyError, CheckpointException)
"""What reading shards may raise."""


Parts = dict[str, dict[str, Any]]
"""What is written apart, by its directory in the place; "" is the place itself."""


def parts_of(state: dict[str, Any]) -> Parts:
    """The reference has files of its own: most checkpoints share them with an earlier one."""
    trained = {name: part for name, part in state.items() if name != REFERENCE}
    return {"": trained, REFERENCE: {REFERENCE: state[REFERENCE]}}


def write_shards(parts: Parts, place: str, group: dist.ProcessGroup | None) -> ShardFiles:
    """A collective of `group`, which must have a CPU backend; None: the only rank. Raises
    StorageError."""
    with ThreadPoolExecutor(1, initializer=_give_way) as writer:
        return writer.submit(_write_to, parts, place, group).result()


def _give_way() -> None:
    """Where cores are short, this thread waits for those that compute. Ray's workers are nice
    already, and nobody may become less so."""
    thread = os.PRIO_PROCESS, threading.get_native_id()
    os.setpriority(*thread, min(MAX_NICE, os.getpriority(*thread) + WRITER_NICE))


def _write_to(parts: Parts, place: str, group: dist.ProcessGroup | None) -> ShardFiles:
    files: dict[str, tuple[int, str]] = {}
    with _directory_for(place) as directory:
        for part, state in parts.items():
            written = _write(state, directory / part, group)
            files |= {str(Path(part, name)): entry for name, entry in written.items()}
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
    state: dict[str, Any], directory: Path, group: dist.ProcessGroup | None
) -> dict[str, tuple[int, str]]:
    try:
        writer = dcp.FileSystemWriter(directory, sync_files=False)  # HashedFiles does so
        files = writer.fs = HashedFiles()
        with _without_crc():
            dcp.save(state, storage_writer=writer, process_group=group, no_dist=group is None)
        return files.written
    except OSError as error:
        raise storage_error(
            error, directory,
            f"The shards cannot be written to {directory}: {{}}. The last checkpoint stands.",
        ) from error  # fmt: skip
    except CheckpointException as error:
        for failed, (cause, _) in sorted(error.failures.items()):
            if words := _storage_words(cause):
                raise StorageError(
                    f"Rank {failed} cannot write its shards to {directory}: {words}. "
                    "The last checkpoint stands."
                ) from error
        raise


@contextmanager
def _without_crc() -> Iterator[None]:
    """torch's archives have a CRC-32 of every tensor, which nobody looks at beside the checksum."""
    usual = get_crc32_options()
    set_crc32_options(False)
    try:
        yield
    finally:
        set_crc32_options(usual)


def read_shards(state: dict[str, Any], place: str, *, alone: bool) -> None:
    """Fills the tensors of `state`, in place, with what any number of ranks has written under the
    same names. A collective of all ranks unless `alone`. Raises CheckpointError, or StorageError
    where the storage fails, on all of them; some tensors may have been filled then."""
    try:
        dcp.load(state, storage_reader=shard_reader(place), no_dist=alone)
    except FAULTS as error:
        raise reading_failed(error, place) from error


def reading_failed(error: BaseException, place: str) -> CheckpointError | StorageError:
    """What one of FAULTS says of the shards. That they do not answer does not make them broken."""
    failures = error.failures.values() if isinstance(error, CheckpointException) else [(error,)]
    for cause, *_ in failures:
        if isinstance(cause, StorageError):
            return cause
        if isinstance(cause, OSError) and not isinstance(cause, FileNotFoundError):
            sentence = f"The shards in {place} cannot be read: {{}}. They were left as they are."
            return storage_error(cause, Path(place), sentence)
    return CheckpointError(f"The shards in {place} cannot be loaded: {one_line(error)}")


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
