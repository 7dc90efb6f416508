"""A bare interpreter that confines itself, then forks one process per program.

`python -P -s -S -c "import sys; sys.path.append(ROOT); from prorl_verifier.sandbox import zygote;
zygote.main()" LEVEL`, commands on stdin (a socket). It holds no secret and sees no expected output;
what it imports is there already in every program's process.
"""

import gc
import json
import os
import resource
import signal
import socket
import sys
import traceback
from typing import NoReturn

from prorl_verifier.sandbox import confine, driver
from prorl_verifier.sandbox.levels import Isolation

COMMANDS = 0
NOT_CONFINED = 40
"""Exit code of a process that could not confine itself: it has run nothing."""
PRELOADED = (
    "bisect", "collections", "copy", "dataclasses", "datetime", "decimal", "enum", "fractions",
    "functools", "heapq", "io", "itertools", "math", "operator", "queue", "re", "statistics",
    "string", "time", "typing",
)  # fmt: skip
"""Imported once, since most programs do."""


def main() -> None:
    """Serves until the worker closes the socket."""
    sys.path.pop()  # programs import the standard library only
    level = Isolation(int(sys.argv[1]))
    os.environ.clear()
    os.chdir("/")
    for name in PRELOADED:
        __import__(name)
    null = os.open(os.devnull, os.O_RDWR)
    try:
        confine.enclose(level)
    except OSError as error:
        sys.exit(f"isolation {level.word} is refused by the kernel: {error.strerror}")
    if level >= Isolation.NAMESPACES and (first := os.fork()):
        # The PID namespace begins with the next process and ends with it.
        _, status = os.waitpid(first, 0)
        sys.exit(os.waitstatus_to_exitcode(status))
    confine.end_with_parent()
    gc.freeze()
    _serve(socket.socket(fileno=COMMANDS), null)


def _serve(commands: socket.socket, null: int) -> None:
    commands.sendall(b"R")
    while True:
        request, descriptors, _, _ = socket.recv_fds(commands, 4096, 3)
        if not request:
            return
        limits = {int(kind): value for kind, value in json.loads(request).items()}
        if (process := os.fork()) == 0:
            _become_program(descriptors, limits, null)
        for descriptor in descriptors:
            os.close(descriptor)
        has_worker = commands.recv(1)  # it has seen enough, or has died
        os.kill(process, signal.SIGKILL)
        _, status, usage = os.wait4(process, 0)
        if not has_worker:
            return
        seconds = usage.ru_utime + usage.ru_stime
        commands.sendall(json.dumps({"status": status, "cpu_s": seconds}).encode() + b"\n")


def _become_program(descriptors: list[int], limits: dict[int, int], null: int) -> NoReturn:
    """descriptors: messages, and for a script its stdin and stdout."""
    control, *streams = [*descriptors, null, null][:3]
    try:
        for target, source in enumerate((*streams, null)):
            os.dup2(source, target)
        os.dup2(control, driver.CONTROL)
        os.closerange(driver.CONTROL + 1, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        driver.prepare()
        confine.lock(limits)
    except BaseException:
        traceback.print_exc()
        os._exit(NOT_CONFINED)
    for name in [name for name in sys.modules if name.startswith("prorl_verifier")]:
        del sys.modules[name]
    try:
        driver.serve()
    finally:
        os._exit(0)
