"""The system call filter, run by a small interpreter of its instructions."""

import re
import struct
from pathlib import Path

import pytest
from prorl_verifier.sandbox import syscalls
from prorl_verifier.sandbox.syscalls import ALLOWED, ARCHITECTURE, ARGUMENTS, NEWER, filter_program

HEADER = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")
ALLOW, KILL, EPERM, ENOSYS = 0x7FFF0000, 0x80000000, 0x50001, 0x50026
O_CREAT, O_CLOEXEC, O_PATH, O_DIRECTORY = 0o100, 0o2000000, 0o10000000, 0o200000
THREAD_FLAGS = 0x3D0F00
"""What glibc's pthread_create passes to clone."""


def decide(number: int, *arguments: int, architecture: int = ARCHITECTURE) -> int:
    """What the kernel would answer; as in linux/filter.h: load, jump, return."""
    padded = [*arguments, *[0] * (6 - len(arguments))]
    data = struct.pack("<iIQ6Q", number, architecture, 0, *padded)
    steps = list(struct.iter_unpack("=HBBI", filter_program()))
    position, loaded = 0, 0
    while True:
        code, if_true, if_false, value = steps[position]
        position += 1
        if code == 0x20:
            (loaded,) = struct.unpack_from("<I", data, value)
        elif code == 0x06:
            return value
        else:
            hit = loaded == value if code == 0x15 else bool(loaded & value)
            position += if_true if hit else if_false


OPEN, OPENAT, CLONE, FCNTL = (ARGUMENTS[n] for n in ("open", "openat", "clone", "fcntl"))
PRLIMIT, SENDTO, PAIR = (ARGUMENTS[n] for n in ("prlimit64", "sendto", "socketpair"))


@pytest.mark.parametrize("number", sorted(ALLOWED.values()))
def test_what_is_listed_is_allowed(number: int) -> None:
    assert decide(number) == ALLOW


@pytest.mark.parametrize(
    ("call", "verdict"),
    [
        ((OPEN, 0, O_CLOEXEC), ALLOW),
        ((OPENAT, 0, 0, O_CLOEXEC | O_DIRECTORY), ALLOW),
        ((OPEN, 0, 1), EPERM),
        ((OPENAT, 0, 0, 2), EPERM),
        ((OPENAT, 0, 0, O_CREAT), EPERM),
        ((OPENAT, 0, 0, 0o20200000), EPERM),
        ((CLONE, THREAD_FLAGS), ALLOW),
        ((CLONE, 17), EPERM),
        ((CLONE, THREAD_FLAGS | 0x10000000), EPERM),
        ((CLONE, THREAD_FLAGS & ~0x10000), EPERM),
        ((FCNTL, 3, 1030), ALLOW),
        ((FCNTL, 3, 8), EPERM),  # F_SETOWN
        ((FCNTL, 3, 10), EPERM),  # F_SETSIG
        ((FCNTL, 3, 1033), EPERM),  # F_ADD_SEALS
        ((PRLIMIT, 77, 7, 0), ALLOW),
        ((PRLIMIT, 0, 7, 1 << 40), EPERM),
        ((PRLIMIT, 0, 7, 4096), EPERM),
        ((PRLIMIT, 0, 3, 4096), ALLOW),
        ((PRLIMIT, 77, 3, 4096), EPERM),
        ((PAIR, 1, 1), ALLOW),
        ((PAIR, 1, 2), EPERM),
        ((PAIR, 2, 1), EPERM),
        ((SENDTO, 3, 4096, 1, 0, 0, 0), ALLOW),
        ((SENDTO, 3, 4096, 1, 0, 1 << 33, 16), EPERM),
        ((ARGUMENTS["ioctl"], 1, 0x5401), ALLOW),
        ((ARGUMENTS["ioctl"], 1, 0x5412), EPERM),  # TIOCSTI
        ((ARGUMENTS["ioctl"], 1, 0x8901), EPERM),  # FIOSETOWN
        ((NEWER["clone3"],), ENOSYS),
        ((NEWER["openat2"],), ENOSYS),
    ],
)
def test_arguments_decide(call: tuple[int, ...], verdict: int) -> None:
    assert decide(*call) == verdict


@pytest.mark.parametrize(
    "number",
    [41, 42, 46, 47, 57, 58, 59, 62, 101, 109, 112, 157, 165, 234, 248, 272, 298, 308, 310, 319,
     321, 322, 323, 317, 424, 425, 434, 0x40000000, 0x40000001, -1, 10_000],
)  # fmt: skip
def test_the_rest_is_refused(number: int) -> None:
    assert decide(number) == EPERM


def test_another_architecture_is_killed() -> None:
    assert decide(0, architecture=0x40000003) == KILL


@pytest.mark.skipif(not HEADER.exists(), reason="needs the kernel's headers")
def test_the_numbers_are_the_kernels() -> None:
    known = {
        name: int(number)
        for name, number in re.findall(r"#define __NR_(\w+) (\d+)", HEADER.read_text())
    }
    ours = syscalls.ALLOWED | syscalls.NEWER | syscalls.ARGUMENTS
    assert ours == {name: known[name] for name in ours}
