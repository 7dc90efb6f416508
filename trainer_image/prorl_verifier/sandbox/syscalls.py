"""The system calls of a confined program, as a classic BPF filter for seccomp (x86-64).

An allow-list: what is not named, the x32 ABI included, fails with EPERM; a call of another
architecture kills.
Numbers are those of asm/unistd_64.h.
"""

import struct

ALLOWED = {
    "read": 0, "write": 1, "close": 3, "stat": 4, "fstat": 5, "lstat": 6, "poll": 7, "lseek": 8,
    "mmap": 9, "mprotect": 10, "munmap": 11, "brk": 12, "rt_sigaction": 13, "rt_sigprocmask": 14,
    "rt_sigreturn": 15, "pread64": 17, "pwrite64": 18, "readv": 19, "writev": 20, "access": 21,
    "pipe": 22, "select": 23, "sched_yield": 24, "mremap": 25, "madvise": 28, "dup": 32,
    "dup2": 33, "nanosleep": 35, "getitimer": 36, "alarm": 37, "setitimer": 38, "getpid": 39,
    "shutdown": 48, "exit": 60, "uname": 63, "getcwd": 79, "chdir": 80, "readlink": 89,
    "umask": 95, "gettimeofday": 96, "getrlimit": 97, "getrusage": 98, "sysinfo": 99,
    "times": 100, "getuid": 102, "getgid": 104, "geteuid": 107, "getegid": 108, "getppid": 110,
    "getpgrp": 111, "getgroups": 115, "sigaltstack": 131, "arch_prctl": 158, "gettid": 186,
    "time": 201, "futex": 202, "sched_getaffinity": 204, "getdents64": 217,
    "set_tid_address": 218, "restart_syscall": 219, "clock_gettime": 228, "clock_getres": 229,
    "clock_nanosleep": 230, "exit_group": 231, "epoll_wait": 232, "epoll_ctl": 233,
    "newfstatat": 262, "readlinkat": 267, "faccessat": 269, "pselect6": 270, "ppoll": 271,
    "set_robust_list": 273, "epoll_pwait": 281, "eventfd2": 290, "epoll_create1": 291,
    "dup3": 292, "pipe2": 293, "getrandom": 318, "rseq": 334,
}  # fmt: skip
"""What an interpreter with threads needs and what reaches nothing outside the process."""

NEWER = {"statx": 332, "clone3": 435, "close_range": 436, "openat2": 437, "faccessat2": 439}
"""Said not to exist, so that the C library uses the older call, whose arguments can be seen."""

ARGUMENTS = {
    "open": 2, "ioctl": 16, "recvfrom": 45, "sendto": 44, "socketpair": 53, "clone": 56,
    "fcntl": 72, "openat": 257, "prlimit64": 302,
}  # fmt: skip
"""Allowed or not by their arguments, see _conditions."""

WRITING = 0o1 | 0o2 | 0o100 | 0o1000 | 0o2000 | 0o20000000
"""O_WRONLY, O_RDWR, O_CREAT, O_TRUNC, O_APPEND, __O_TMPFILE."""
CLONE_THREAD, CLONE_NEW_ANY = 0x10000, 0x7E020000
FCNTL_COMMANDS = (0, 1, 2, 3, 4, 1030)
"""F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC. F_SETOWN would send signals."""
IOCTL_REQUESTS = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)
"""TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX."""
AF_UNIX, STREAM_TYPES = 1, (1, 1 | 0o4000, 1 | 0o2000000, 1 | 0o2004000)
"""SOCK_STREAM with SOCK_NONBLOCK and SOCK_CLOEXEC: asyncio wakes itself through such a pair."""
RLIMIT_STACK = 3

ARCHITECTURE = 0xC000003E  # AUDIT_ARCH_X86_64
_LOAD, _EQUAL, _ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_EPERM, _ENOSYS = _ERRNO | 1, _ERRNO | 38
_NUMBER, _ARCH, _ARGUMENT = 0, 4, 16
"""Offsets in struct seccomp_data."""


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


def _load(argument: int, high: bool = False) -> bytes:
    return _step(_LOAD, _ARGUMENT + 8 * argument + (4 if high else 0))


def _end(verdict: int) -> bytes:
    return _step(_RETURN, verdict)


def _require(argument: int, *values: int) -> bytes:
    """Goes on if the argument's lower half is one of the values."""
    tests = b""
    for index, value in enumerate(values):
        tests += _step(_EQUAL, value, len(values) - index)
    return _load(argument) + tests + _end(_EPERM)


def _forbid_bits(argument: int, mask: int) -> bytes:
    return _load(argument) + _step(_ANY_BIT, mask, 0, 1) + _end(_EPERM)


def _require_null(argument: int) -> bytes:
    high = _load(argument, high=True) + _step(_EQUAL, 0, 1) + _end(_EPERM)
    return _require(argument, 0) + high


def _conditions() -> dict[str, bytes]:
    """What a call of ARGUMENTS has to pass before it is allowed."""
    threads = _load(0) + _step(_ANY_BIT, CLONE_THREAD, 1) + _end(_EPERM)
    own_stack = _require(0, 0) + _require(1, RLIMIT_STACK) + _end(_ALLOW)
    reads_limit = _load(2) + _step(_EQUAL, 0, 0, 3) + _load(2, high=True) + _step(_EQUAL, 0, 0, 1)
    return {
        "open": _forbid_bits(1, WRITING),
        "openat": _forbid_bits(2, WRITING),
        "ioctl": _require(1, *IOCTL_REQUESTS),
        "fcntl": _require(1, *FCNTL_COMMANDS),
        "clone": _forbid_bits(0, CLONE_NEW_ANY) + threads,
        "socketpair": _require(0, AF_UNIX) + _require(1, *STREAM_TYPES),
        "sendto": _require_null(4),
        "recvfrom": _require_null(4),
        "prlimit64": reads_limit + _end(_ALLOW) + own_stack,
    }


def _on(number: int, body: bytes) -> bytes:
    """Runs the body, which ends with a verdict, for this call only."""
    return _step(_EQUAL, number, 0, len(body) // 8) + body


def filter_program() -> bytes:
    """An array of struct sock_filter."""
    arch = _step(_LOAD, _ARCH) + _step(_EQUAL, ARCHITECTURE, 1) + _end(_KILL)
    program = arch + _step(_LOAD, _NUMBER)
    for name, condition in _conditions().items():
        program += _on(ARGUMENTS[name], condition + _end(_ALLOW))
    for number in ALLOWED.values():
        program += _on(number, _end(_ALLOW))
    for number in NEWER.values():
        program += _on(number, _end(_ENOSYS))
    return program + _end(_EPERM)
