"""Where a job's checkpoints are: the directory of its run, or the bucket that its spec names."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prorl_trainer.checkpoint.directory import Directory
from prorl_trainer.checkpoint.medium import Medium
from prorl_trainer.context import Context
from prorl_trainer.errors import CheckpointError, one_line


def open_medium(context: Context) -> Medium:
    """Raises ConfigError."""
    if context.bucket is None:
        return Directory(context.checkpoints)
    from prorl_trainer.checkpoint.bucket import Bucket  # its library is large
    from prorl_trainer.checkpoint.objects import Objects

    return Bucket(Objects(context.bucket))


@contextmanager
def checkpoint_files(context: Context, step: int) -> Iterator[Path]:
    """A directory with the files of this checkpoint; one from a bucket is verified on its way, and
    gone afterwards. Raises CheckpointError, StorageError."""
    if context.bucket is None:
        yield context.checkpoints / f"step-{step:08d}"
        return
    from prorl_trainer.checkpoint.download import download
    from prorl_trainer.checkpoint.objects import Objects

    with tempfile.TemporaryDirectory(dir=context.directory, prefix=".checkpoint-") as name:
        try:
            download(Objects(context.bucket), step, Path(name))
        except ValueError as error:
            raise CheckpointError(
                f"{context.checkpoint_uri(step)} cannot be used: {one_line(error)}"
            ) from error
        yield Path(name)
