"""Storage that refuses: another user's directory, and a file system that is mounted read-only."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

NOBODY = 65534


@contextmanager
def as_nobody() -> Iterator[None]:
    """This process without root's rights; whoever is not root skips the test."""
    if os.geteuid() != 0:
        pytest.skip("another user needs root")
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


@contextmanager
def open_directory() -> Iterator[Path]:
    """A new one that any user may look into: pytest's are its user's own."""
    with tempfile.TemporaryDirectory(prefix="refused-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@contextmanager
def disk(directory: Path, size_bytes: int = 1 << 20) -> Iterator[Path]:
    """A file system of its own at a new directory, which `read_only` can be told of."""
    directory.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "none", str(directory)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False).returncode != 0:
        pytest.skip("mounting a disk needs root")
    try:
        yield directory
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True)


def read_only(mounted: Path) -> None:
    """From now on; what the kernel does to a file system with errors."""
    subprocess.run(["mount", "-o", "remount,ro", str(mounted)], check=True)
