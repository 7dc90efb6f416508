"""A checkpoint of a bucket as the files that it would be in a directory."""

from pathlib import Path

from prorl_trainer.checkpoint.bucket import Bucket, file_key
from prorl_trainer.checkpoint.files import storage_errors
from prorl_trainer.checkpoint.manifest import MANIFEST, compare
from prorl_trainer.checkpoint.objects import Objects


def download(objects: Objects, step: int, directory: Path) -> None:
    """Into an empty directory. Raises ValueError naming the first file that is not as the manifest
    says, StorageError, CheckpointError if another version wrote it."""
    manifest = Bucket(objects).manifest(step)
    with storage_errors(directory):
        for name, entry in sorted(manifest.files.items()):
            path = directory / name
            path.parent.mkdir(exist_ok=True)
            found = objects.download(file_key(step, manifest, name), path)
            if found is None:
                raise ValueError(f"{name} is missing")
            compare(name, found, entry)
        (directory / MANIFEST).write_bytes(manifest.encode())
