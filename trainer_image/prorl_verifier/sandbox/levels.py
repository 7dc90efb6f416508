"""How strongly a program is confined; the order is the strength."""

from enum import IntEnum


class Isolation(IntEnum):
    """Each level has all layers of the ones before it. There is none without a system call filter:
    what cannot be held is not run."""

    NONE = 0
    """No program is run; the service judges everything but code."""
    SECCOMP = 1
    """Hard limits, no capabilities, and an allow-list of system calls: one process without network,
    child processes, signals to others or writable files."""
    LANDLOCK = 2
    """Also reads nothing but the interpreter's own files, and neither signals nor traces others."""
    NAMESPACES = 3
    """Also in user, PID, network, IPC and UTS namespaces of its own."""

    @property
    def word(self) -> str:
        """The name as flags, metrics and spec.verifier.minimumIsolation write it."""
        return self.name.lower()


WORDS = tuple(level.word for level in Isolation)
