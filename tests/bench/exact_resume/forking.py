"""Attempts as processes: forked from this one, which has imported everything, so that a start costs
tens of milliseconds and not ten seconds."""

import asyncio
import gc
import logging
import os
import select
import signal
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from attempt import Slow, live
from marks import Aim, Marks
from parts import Engine
from prorl_trainer.context import Context
from tqdm import tqdm

MARKS = "marks"
LIMIT_S = 600.0
"""An attempt that takes longer hangs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """A process that works on the run, and how to end it."""

    pid: int
    pidfd: int
    begun: float

    def wait(self, seconds: float) -> bool:
        """True if it has ended within that time."""
        poll = select.poll()
        poll.register(self.pidfd, select.POLLIN)
        return bool(poll.poll(max(0.0, seconds) * 1000))

    def send(self, number: signal.Signals) -> None:
        signal.pidfd_send_signal(self.pidfd, number)

    def ended(self, limit_s: float = LIMIT_S) -> int:
        """Its exit code, below 0 the signal. Raises TimeoutError."""
        if not self.wait(limit_s):
            self.send(signal.SIGKILL)
            os.waitpid(self.pid, 0)
            raise TimeoutError(f"The attempt had not ended after {limit_s:.0f} s.")
        _, status = os.waitpid(self.pid, 0)
        os.close(self.pidfd)
        return os.waitstatus_to_exitcode(status)


def fork(context: Context, aim: Aim | None = None, slow: Slow | None = None) -> Attempt:
    """Starts the next attempt of the run."""
    (context.directory / MARKS).unlink(missing_ok=True)
    marks = Marks(context.directory / MARKS, aim)
    sys.stdout.flush()
    sys.stderr.flush()
    begun = time.monotonic()
    pid = os.fork()
    if pid == 0:
        os._exit(_child(context, marks, slow))
    return Attempt(pid=pid, pidfd=os.pidfd_open(pid), begun=begun)


def _child(context: Context, marks: Marks, slow: Slow | None) -> int:
    """Nothing of it may return into the parent's code."""
    try:
        log = os.open(context.directory / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(log, 1)
        os.dup2(log, 2)
        logging.basicConfig(level=logging.INFO, force=True)
        return asyncio.run(live(context, marks, slow))
    except BaseException:
        logging.exception("the attempt failed")
        return 1


def prepare(model_dir: Path) -> None:
    """Does once what every attempt would have to do: what is here now is shared with all of them.
    Raises RuntimeError if a thread is left, which a fork would lose."""
    torch.set_num_threads(1)
    # Its own lock is a semaphore of all processes: who is killed with it stops the others.
    tqdm.set_lock(threading.RLock())
    Engine(model_dir)  # transformers compiles hundreds of expressions for its first model
    gc.collect()
    gc.freeze()
    threads = {Path(path, "comm").read_text().strip() for path in Path("/proc/self/task").iterdir()}
    # jemalloc comes with Ray, and starts its thread again after a fork.
    if others := threads - {Path("/proc/self/comm").read_text().strip(), "jemalloc_bg_thd"}:
        raise RuntimeError(f"Threads that a fork would lose: {sorted(others)}.")
