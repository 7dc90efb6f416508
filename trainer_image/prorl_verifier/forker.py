"""Imports what workers need, then forks one whenever it is asked to: in milliseconds, not seconds.

`python -m prorl_verifier.forker MODULE ARGUMENTS`, with a socket of messages as stdin. A message
with a descriptor asks for a worker that talks through it, and its process id is the answer. A
message with a process id asks for the end of that worker and of all that it has started; the answer
comes when they are gone. It never sees an item. When the socket closes, or it dies, so does every
worker.

MODULE has `prepare()`, called once before the first fork, and `main(arguments, channel)`, called in
every worker. It must leave no thread behind when it prepares: a fork has none.
"""

import contextlib
import gc
import importlib
import os
import signal
import socket
import sys
import traceback
from types import ModuleType
from typing import NoReturn

from prorl_verifier import processes
from prorl_verifier.sandbox import confine

COMMANDS = 0
READY, ENDED = b"ready", b"ended"
MAX_MESSAGE_BYTES = 64


def main() -> None:
    """Serves until the socket closes."""
    commands = socket.socket(fileno=os.dup(COMMANDS))
    os.dup2(os.open(os.devnull, os.O_RDONLY), COMMANDS)
    os.dup2(2, 1)  # what a scorer prints is never a verdict
    module = importlib.import_module(sys.argv[1])
    module.prepare()
    confine.hide()
    confine.adopt_orphans()
    gc.collect()
    gc.freeze()  # a collection in a worker would copy every page of these objects
    commands.send(READY)
    _serve(commands, module, sys.argv[2:])


def _serve(commands: socket.socket, module: ModuleType, arguments: list[str]) -> None:
    workers: set[int] = set()
    forker = os.getpid()
    while True:
        request, descriptors, _, _ = socket.recv_fds(commands, MAX_MESSAGE_BYTES, 1)
        if not request:
            break
        if descriptors:
            channel = socket.socket(fileno=descriptors[0])
            if (worker := os.fork()) == 0:
                commands.close()
                _become_worker(module, arguments, channel, forker)
            channel.close()
            workers.add(worker)
            commands.send(str(worker).encode())
        else:
            _end(int(request), workers)
            commands.send(ENDED)
    for worker in sorted(workers):
        _end(worker, workers)


def _become_worker(
    module: ModuleType, arguments: list[str], channel: socket.socket, forker: int
) -> NoReturn:
    code = 1
    try:
        os.setsid()
        confine.end_with_parent()
        if os.getppid() == forker:  # or it has ended before this one could ask for that
            module.main(arguments, channel)
            code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _end(worker: int, workers: set[int]) -> None:
    """Kills and reaps it, its process group and whatever it has left to this process. One that is
    not among `workers` was of a forker that has died: it is gone."""
    if worker not in workers:
        return
    workers.remove(worker)
    processes.kill_descendants(worker)
    for kill in (os.killpg, os.kill):  # it may not lead a group yet
        with contextlib.suppress(ProcessLookupError):
            kill(worker, signal.SIGKILL)
    os.waitpid(worker, 0)
    processes.end_strays(workers)


if __name__ == "__main__":
    main()
