"""Checkpoint stores as tests make them, with shards that need no learner."""

import asyncio
from pathlib import Path
from typing import Any

from prorl_trainer.checkpoint.checksum import checksum_of
from prorl_trainer.checkpoint.directory import Directory
from prorl_trainer.checkpoint.files import Files, storage_errors
from prorl_trainer.checkpoint.state import RunState
from prorl_trainer.checkpoint.store import CheckpointStore
from prorl_trainer.types import ShardFiles

SHARD = b"weights" * 100
REFERENCE = b"frozen" * 100


def make_state(step: int, **fields: Any) -> RunState:
    return RunState(**({"job_uid": "u", "job_name": "j", "spec_hash": "h", "step": step} | fields))


async def write_shards(place: str, *, reference: bool = True) -> ShardFiles:
    files = {"__0_0.distcp": SHARD} | ({"reference/__0_0.distcp": REFERENCE} if reference else {})
    with storage_errors(Path(place)):
        for name, data in files.items():
            Path(place, name).parent.mkdir(exist_ok=True)
            with Path(place, name).open("xb") as file:
                file.write(data)
    return ShardFiles(files={k: (len(v), checksum_of(v)) for k, v in files.items()})


def commit(store: CheckpointStore, *steps: int, now: float = 1.0, **fields: Any) -> None:
    for step in steps:
        asyncio.run(store.commit(make_state(step, **fields), write_shards, now=now))


def opened(
    directory: Path, attempt: int | None = None, job_uid: str = "u", files: Files | None = None
) -> CheckpointStore:
    store = CheckpointStore(Directory(directory, files), keep=2)
    store.open_for_attempt(attempt, job_uid)
    return store
