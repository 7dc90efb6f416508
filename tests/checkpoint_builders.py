"""A store in a directory, and file operations that fail."""

import asyncio
from pathlib import Path

from prorl_api.spec_lifecycle import Resume
from prorl_trainer.checkpoint.checksum import checksum_of
from prorl_trainer.checkpoint.directory import Directory
from prorl_trainer.checkpoint.files import Files, storage_errors
from prorl_trainer.checkpoint.state import RunState
from prorl_trainer.checkpoint.store import CheckpointStore
from prorl_trainer.types import ShardFiles

SHARD = b"weights" * 100
REFERENCE = b"frozen" * 100


class Crash(BaseException):
    """The process is gone: nothing after it runs."""


class FailingFiles(Files):
    """Fails at the n-th operation, before or after it took effect. After a crash nothing works."""

    def __init__(self, at: int, error: BaseException, *, after: bool = False) -> None:
        self.left, self.error, self.after = at, error, after

    def _do(self, name, *args):
        self.left -= 1
        if self.left == 0 and self.after:
            getattr(super(), name)(*args)
        if self.left == 0 or (self.left < 0 and isinstance(self.error, Crash)):
            raise self.error
        getattr(super(), name)(*args)

    def make_directory(self, path):
        self._do("make_directory", path)

    def write(self, path, data):
        self._do("write", path, data)

    def sync(self, path):
        self._do("sync", path)

    def rename(self, source, target):
        self._do("rename", source, target)

    def link(self, source, target):
        self._do("link", source, target)

    def remove_tree(self, path):
        self._do("remove_tree", path)


def make_state(step: int, **fields) -> RunState:
    return RunState(job_uid="u", job_name="j", spec_hash="h", step=step, **fields)


async def write_shards(place: str, *, reference: bool = True) -> ShardFiles:
    files = {"__0_0.distcp": SHARD} | ({"reference/__0_0.distcp": REFERENCE} if reference else {})
    with storage_errors(Path(place)):
        for name, data in files.items():
            Path(place, name).parent.mkdir(exist_ok=True)
            with Path(place, name).open("xb") as file:
                file.write(data)
    return ShardFiles(files={k: (len(v), checksum_of(v)) for k, v in files.items()})


def commit(store: CheckpointStore, step: int, **fields) -> None:
    asyncio.run(store.commit(make_state(step, **fields), write_shards, now=1.0))


def opened(directory: Path, *, attempt: int | None = None, files: Files | None = None):
    store = CheckpointStore(Directory(directory, files), keep=2)
    store.open_for_attempt(attempt)
    return store


def latest_step(directory: Path) -> int:
    found = opened(directory).load(Resume.LATEST)
    assert found is not None
    return found.state.step
