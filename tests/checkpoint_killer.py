"""Kills a process with SIGKILL at each system call of its commit of a checkpoint.

    python tests/checkpoint_killer.py [--every 1]

A child commits steps 1 and 2, then, on one thread, step 3, which has the reference of step 1 as
hard links. It is traced once, to count the calls that open, write, sync, rename, link, make or
remove files; then once for each of them, killed there by strace. After each kill the store must
load the previous or the new checkpoint, and take the next commit. Needs strace and the right to
trace (root). Prints one JSON line.
"""

import argparse
import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from subprocess import PIPE
from typing import Any

from prorl_api.spec_lifecycle import Resume
from prorl_trainer.checkpoint.checksum import checksum_of
from prorl_trainer.checkpoint.directory import Directory
from prorl_trainer.checkpoint.state import RunState
from prorl_trainer.checkpoint.store import CheckpointStore
from prorl_trainer.types import ShardFiles

SHARD = b"weights" * 1000
CALLS = (
    "openat,write,fsync,rename,renameat,renameat2,link,linkat,mkdir,mkdirat,unlink,unlinkat,rmdir"
)
"""System calls that change files, or may."""


def opened(directory: Path) -> CheckpointStore:
    """The next attempt."""
    store = CheckpointStore(Directory(directory), keep=2)
    store.open_for_attempt(None)
    return store


async def write_shards(place: str, *, reference: bool) -> ShardFiles:
    """As a rank does: written and fsynced."""
    names = ["__0_0.distcp"] + (["reference/__0_0.distcp"] if reference else [])
    for name in names:
        Path(place, name).parent.mkdir(exist_ok=True)
        with Path(place, name).open("xb") as file:
            file.write(SHARD)
            file.flush()
            os.fsync(file.fileno())
    digest = checksum_of(SHARD)
    return ShardFiles(files=dict.fromkeys(names, (len(SHARD), digest)))


def commit(store: CheckpointStore, step: int) -> None:
    """One checkpoint."""
    state = RunState(job_uid="u", job_name="j", spec_hash="h", step=step)
    asyncio.run(store.commit(state, write_shards, now=1.0))


def child(directory: Path) -> None:
    """Steps 1 and 2; waits for its tracer, then commits step 3; every file call is made by one
    thread."""
    store = opened(directory)
    commit(store, 1)
    commit(store, 2)
    print(flush=True)
    sys.stdin.readline()
    asyncio.run(_commit_on_one_thread(store))
    os._exit(0)  # what the interpreter does at its end is no part of the commit


async def _commit_on_one_thread(store: CheckpointStore) -> None:
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))

    async def write(place: str, *, reference: bool) -> ShardFiles:
        return await asyncio.to_thread(asyncio.run, write_shards(place, reference=reference))

    state = RunState(job_uid="u", job_name="j", spec_hash="h", step=3)
    await store.commit(state, write, now=1.0)


def trace(directory: Path, *inject: str) -> tuple[int, list[str]]:
    """The child's exit code (-9: killed), and its calls in order; strace counts from its start."""
    log = directory.with_suffix(".trace")
    command = [sys.executable, __file__, "--child", str(directory)]
    with subprocess.Popen(command, stdin=PIPE, stdout=PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        options = ["-f", "-o", str(log), "-e", f"trace={CALLS}", *inject]
        tracer = subprocess.Popen(["strace", *options, "-p", str(process.pid)], stderr=PIPE)
        assert tracer.stderr is not None
        tracer.stderr.readline()  # says that it is attached
        process.communicate("\n")
        tracer.communicate()
        return process.returncode, log.read_text().splitlines()


def points(lines: list[str]) -> list[tuple[str, int]]:
    """(call, its number among its kind) for each call of the commit."""
    seen, found = Counter[str](), []
    for line in lines:
        match = re.match(r"\d+ +(\w+)\(", line)
        if match and match[1] in CALLS.split(","):
            seen[match[1]] += 1
            found.append((match[1], seen[match[1]]))
    return found


def run(every: int) -> dict[str, Any]:
    """Kills at each `every`-th call."""
    outcomes, calls = Counter[str](), Counter[str]()
    with tempfile.TemporaryDirectory() as name:
        counted = Path(name, "counted")
        found = points(trace(counted)[1])
        for number, (call, nth) in enumerate(found[::every]):
            directory = Path(name, str(number))
            code, _ = trace(directory, "-e", f"inject={call}:signal=SIGKILL:when={nth}")
            calls[call] += 1
            outcomes["not killed" if code != -signal.SIGKILL else "killed"] += 1
            outcomes[_loaded(directory)] += 1
    keys = ("killed", "not killed", "previous", "new", "neither")
    return {"calls of a commit": len(found), "by call": dict(sorted(calls.items())),
            **{key: outcomes[key] for key in keys}}  # fmt: skip


def _loaded(directory: Path) -> str:
    checkpoint = opened(directory).load(Resume.LATEST)
    if checkpoint is None or checkpoint.state.step not in (2, 3):
        return "neither"
    commit(opened(directory), 4)  # and the store goes on
    return "new" if checkpoint.state.step == 3 else "previous"


def main() -> None:
    """Exits with 1 if a kill left neither."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child)
    found = run(options.every)
    print(json.dumps(found))
    sys.exit(1 if found["neither"] else 0)


if __name__ == "__main__":
    main()
