"""Which level this node permits: tried out, not read off a version."""

import logging

from prorl_verifier.sandbox.budget import Budget
from prorl_verifier.sandbox.levels import Isolation
from prorl_verifier.sandbox.session import ProgramEnded, Sandbox, SandboxError, TimeIsUp

log = logging.getLogger(__name__)

CHECK_LIMIT_S = 10.0
CHECK_PROGRAM = """
import os, socket, threading

def possible(attempts):
    trials = {
        "fork": os.fork,
        "exec": lambda: os.execv("/bin/true", ["true"]),
        "signal": lambda: os.kill(os.getppid() or os.getpid(), 0),
        "socket": socket.socket,
        "write": lambda: open("/tmp/prorl-sandbox-check", "w"),
        "read": lambda: open("/proc/self/status"),
    }
    return [name for name in attempts if works(trials[name])]

def works(trial):
    try:
        trial()
    except OSError:
        return False
    return True
"""
"""What a program tries that must not be possible; returns what was."""


def check(sandbox: Sandbox, level: Isolation) -> None:
    """Raises SandboxError naming what a program can do there and must not."""
    attempts = ["fork", "exec", "signal", "socket", "write"]
    attempts += ["read"] if level >= Isolation.LANDLOCK else []
    program = sandbox.start(Budget(CHECK_LIMIT_S))
    try:
        program.ask({"source": CHECK_PROGRAM, "function": "possible"})
        answer = program.ask({"args": [attempts]})
    except (ProgramEnded, TimeIsUp) as error:
        raise SandboxError(f"isolation {level.word}: the check ended: {error!r}") from error
    finally:
        program.end()
    if answer != {"value": []}:
        raise SandboxError(f"isolation {level.word}: not held: {answer}")


def strongest() -> Isolation:
    """The strongest level that can be reached and holds."""
    for level in sorted(Isolation, reverse=True):
        if level is Isolation.NONE:
            break
        try:
            with Sandbox(level) as sandbox:
                check(sandbox, level)
        except SandboxError as error:
            log.info("%s", error)
            continue
        return level
    return Isolation.NONE
