"""Commits to a bucket; as a program it is killed at one of the writes of its third commit.

python tests/bucket_writer.py URI WRITE
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from prorl_trainer.checkpoint.bucket import Bucket
from prorl_trainer.checkpoint.checksum import checksum_of
from prorl_trainer.checkpoint.objects import Objects
from prorl_trainer.checkpoint.state import RunState
from prorl_trainer.checkpoint.store import CheckpointStore
from prorl_trainer.types import ShardFiles

SHARD = b"weights" * 100
REFERENCE = b"frozen" * 100


def opened(
    uri: str, attempt: int | None = None, uid: str = "u", patience_s: float = 60
) -> CheckpointStore:
    store = CheckpointStore(Bucket(Objects(uri, patience_s)), keep=2)
    store.open_for_attempt(attempt, uid)
    return store


async def write_shards(place: str, *, reference: bool = True) -> ShardFiles:
    files = {"__0_0.distcp": SHARD} | ({"reference/__0_0.distcp": REFERENCE} if reference else {})
    for name, data in files.items():
        Objects(place).put(name, data)
    return ShardFiles(files={k: (len(v), checksum_of(v)) for k, v in files.items()})


def make_state(step: int) -> RunState:
    return RunState(job_uid="u", job_name="j", spec_hash="h", step=step)


def commit(store: CheckpointStore, *steps: int) -> None:
    for step in steps:
        asyncio.run(store.commit(make_state(step), write_shards, now=1.0))


class Countdown:
    """Kills this process before a write."""

    def __init__(self, write: int) -> None:
        self._left = write

    def before(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def act(*args: Any) -> Any:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args)

        return act


def main() -> None:
    store, countdown = opened(sys.argv[1]), Countdown(int(sys.argv[2]))
    commit(store, 1, 2)
    for name in ("put", "copy", "create", "delete"):
        setattr(Objects, name, countdown.before(getattr(Objects, name)))
    commit(store, 3)


if __name__ == "__main__":
    main()
