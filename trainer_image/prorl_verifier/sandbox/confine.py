"""The layers themselves: thin calls of the kernel, for a process that confines itself.

The zygote calls `enclose` once; each program's process calls `lock` before it sees the program.
Every function raises OSError with the layer's name when the kernel refuses.
"""

import ctypes
import os
import resource
import struct
import sysconfig

from prorl_verifier.sandbox.levels import Isolation
from prorl_verifier.sandbox.syscalls import filter_program

_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 4, 22, 38
_PR_SET_CHILD_SUBREAPER = 36
_SECCOMP_MODE_FILTER = 2
_SIGKILL = 9
_CAPSET = 126
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446
_CAPABILITY_VERSION_3 = 0x20080522
_CLONE_NEWUTS, _CLONE_NEWIPC, _CLONE_NEWUSER = 0x04000000, 0x08000000, 0x10000000
_CLONE_NEWPID, _CLONE_NEWNET = 0x20000000, 0x40000000

STACK_BYTES = 64 << 20
_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
_PATH_BENEATH = 1
_FS_RIGHTS = (1 << 13) - 1
_FS_RIGHTS_SINCE = {2: 1 << 13, 3: 1 << 14, 5: 1 << 15}
"""Access rights that Landlock knows from this ABI on: refer, truncate, ioctl on devices."""
READABLE = (
    "/lib", "/lib64", "/usr/lib", "/usr/local/lib", "/etc/ld.so.cache", "/etc/localtime",
    "/usr/share/zoneinfo", "/dev/null", "/dev/urandom",
)  # fmt: skip
"""Beside the interpreter's own library: shared objects and time zones. No secrets live there."""


def hide() -> None:
    """Other processes of this user may not read this one's memory or environment."""
    _prctl("not dumpable", _PR_SET_DUMPABLE, 0)


def end_with_parent() -> None:
    """SIGKILL for this process when the one that started it ends."""
    _prctl("end with the parent", _PR_SET_PDEATHSIG, _SIGKILL)


def adopt_orphans() -> None:
    """Whatever this process's descendants leave behind becomes its child."""
    _prctl("adopt orphans", _PR_SET_CHILD_SUBREAPER, 1)


def enclose(level: Isolation) -> None:
    """What all programs share: namespaces, no new privileges, Landlock."""
    if level >= Isolation.NAMESPACES:
        _enter_namespaces()
    hide()
    _prctl("no_new_privs", _PR_SET_NO_NEW_PRIVS, 1)
    if level >= Isolation.LANDLOCK:
        _landlock([sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), *READABLE])


def lock(limits: dict[int, int]) -> None:
    """The last step, of a process that will never fork: hard limits, no capabilities, the system
    call filter. `limits` are values by resource.RLIMIT_*."""
    end_with_parent()
    _deepen_stack()
    for kind, value in limits.items():
        resource.setrlimit(kind, (value, value))
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    _syscall("capabilities", _CAPSET, header, bytes(24))
    program = filter_program()
    steps = ctypes.create_string_buffer(program, len(program))
    array = struct.pack("@HP", len(program) // 8, ctypes.addressof(steps))
    _prctl("seccomp", _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, array)


def _deepen_stack() -> None:
    """Recursion is no offence; what the stack takes counts as address space."""
    hard = resource.getrlimit(resource.RLIMIT_STACK)[1]
    soft = STACK_BYTES if hard == resource.RLIM_INFINITY else min(STACK_BYTES, hard)
    resource.setrlimit(resource.RLIMIT_STACK, (soft, hard))


def _enter_namespaces() -> None:
    user, group = os.geteuid(), os.getegid()
    kinds = _CLONE_NEWUSER | _CLONE_NEWPID | _CLONE_NEWNET | _CLONE_NEWIPC | _CLONE_NEWUTS
    _check("namespaces", _LIBC.unshare(kinds))
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{user} {user} 1"),
        ("gid_map", f"{group} {group} 1"),
    ):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)


def _landlock(paths: list[str]) -> None:
    """Nothing may be opened but `paths`, for reading; no TCP, no signals to the outside."""
    abi = _syscall("Landlock", _LANDLOCK_CREATE, None, 0, 1)
    rights = _FS_RIGHTS
    for since, right in _FS_RIGHTS_SINCE.items():
        rights |= right if abi >= since else 0
    words = [rights, *([0b11] if abi >= 4 else []), *([0b11] if abi >= 6 else [])]
    attributes = struct.pack(f"={len(words)}Q", *words)
    rules = _syscall("Landlock", _LANDLOCK_CREATE, attributes, len(attributes), 0)
    for path in filter(os.path.exists, paths):
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
        wanted = _READ_FILE | (_READ_DIR if os.path.isdir(path) else 0)
        rule = struct.pack("=Qi", wanted, opened)
        _syscall("Landlock", _LANDLOCK_ADD, rules, _PATH_BENEATH, rule, 0)
        os.close(opened)
    _syscall("Landlock", _LANDLOCK_RESTRICT, rules, 0)
    os.close(rules)


def _syscall(layer: str, number: int, *arguments: int | bytes | None) -> int:
    words = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    return _check(layer, _LIBC.syscall(ctypes.c_long(number), *words))


def _prctl(layer: str, option: int, *arguments: int | bytes) -> None:
    words = [ctypes.c_ulong(a) if isinstance(a, int) else a for a in arguments]
    words += [ctypes.c_ulong(0)] * (4 - len(words))
    _check(layer, _LIBC.prctl(option, *words))


def _check(layer: str, result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{layer}: {os.strerror(number)}")
    return result
