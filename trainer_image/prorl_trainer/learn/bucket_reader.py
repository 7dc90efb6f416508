"""Shards in a bucket, as torch's distributed checkpoints read files: by ranges, where they lie."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from torch.distributed.checkpoint.filesystem import FileSystem, FileSystemReader

from prorl_trainer.checkpoint.objects import Objects


class _BucketFiles(FileSystem):
    """Paths are keys below the place."""

    def __init__(self, place: str) -> None:
        self._objects = Objects(place)

    @contextmanager
    def create_stream(self, path: str | os.PathLike[str], mode: str) -> Generator[Any, None, None]:
        """Reads only."""
        with self._objects.open(os.path.basename(path)) as stream:
            yield stream


class BucketReader(FileSystemReader):
    """place: s3://BUCKET/PREFIX."""

    def __init__(self, place: str) -> None:
        super().__init__(place)
        self.fs = _BucketFiles(place)
