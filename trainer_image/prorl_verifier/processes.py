"""Ends what a process has started, wherever in the process tree it hides.

The process must have called confine.adopt_orphans: then even a daemon that left its session stays
below it.
"""

import contextlib
import os
import signal
from collections.abc import Collection
from pathlib import Path

MAX_ROUNDS = 100
"""Of killing what is there: each needs one look at /proc."""


def end_children() -> None:
    """Kills and reaps all that this process has started. Costs one system call if that is nothing;
    does not return while there is always more."""
    while _has_children():
        _kill(descendants(os.getpid()))
        with contextlib.suppress(ChildProcessError):
            os.waitpid(-1, 0)


def end_strays(spared: Collection[int]) -> None:
    """As end_children, but for the children that are `spared` and what is below them."""
    while strays := set(_tree()[0].get(os.getpid(), [])) - set(spared):
        for pid in strays:
            kill_descendants(pid)
            _kill([pid])
            os.waitpid(pid, 0)


def kill_descendants(root: int) -> None:
    """Stops `root` and kills everything below it, so that only `root` is left to be killed. Gives
    up on what starts processes faster than it can look."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(root, signal.SIGSTOP)
    for _ in range(MAX_ROUNDS):
        alive = descendants(root)
        if not alive:
            return
        _kill(alive)


def descendants(root: int) -> list[int]:
    """Process ids below `root`, without those that are only waiting to be reaped."""
    children, zombies = _tree()
    below = list(children.get(root, []))
    for pid in below:  # grows while it is read
        below += children.get(pid, [])
    return [pid for pid in below if pid not in zombies]


def _tree() -> tuple[dict[int, list[int]], set[int]]:
    """Children by their parent, and who of all is only waiting to be reaped."""
    children: dict[int, list[int]] = {}
    zombies: set[int] = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and (found := _state_and_parent(entry)):
            children.setdefault(found[1], []).append(int(entry.name))
            if found[0] == "Z":
                zombies.add(int(entry.name))
    return children, zombies


def _state_and_parent(entry: Path) -> tuple[str, int] | None:
    """None if it has ended meanwhile. The name before them may hold any character."""
    try:
        state, parent = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[:2]
    except (FileNotFoundError, ProcessLookupError):
        return None
    return state, int(parent)


def _has_children() -> bool:
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _kill(pids: list[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
