"""What becomes a worker, and what does not."""

import os
import socket
from types import ModuleType

from prorl_verifier.forker import _become_worker


class Module(ModuleType):
    """Says that it was run."""

    def main(self, arguments: list[str], channel: socket.socket) -> None:
        channel.sendall(b"ran")


def said(forker: int) -> bytes:
    """By a child of this process that was to be a worker of `forker`."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        if (child := os.fork()) == 0:
            _become_worker(Module("module"), [], theirs, forker)
        theirs.close()
        os.waitpid(child, 0)
        return ours.recv(3)


def test_a_fork_whose_forker_has_already_been_killed_judges_nothing() -> None:
    assert said(forker=os.getpid()) == b"ran"
    assert said(forker=os.getppid()) == b""
