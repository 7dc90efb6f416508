"""A store in a directory, and file operations that fail."""

from pathlib import Path

from prorl_api.spec_lifecycle import Resume
from prorl_trainer.checkpoint.directory import Directory
from prorl_trainer.checkpoint.files import Files
from prorl_trainer.checkpoint.store import CheckpointStore
from store_builders import REFERENCE, SHARD, commit, make_state, write_shards

__all__ = ["REFERENCE", "SHARD", "commit", "make_state", "write_shards"]


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


def opened(directory: Path, *, attempt: int | None = None, files: Files | None = None):
    store = CheckpointStore(Directory(directory, files), keep=2)
    store.open_for_attempt(attempt)
    return store


def latest_step(directory: Path) -> int:
    found = opened(directory).load(Resume.LATEST)
    assert found is not None
    return found.state.step
