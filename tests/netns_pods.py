"""Pods without Kubernetes: a network, PID and mount namespace each, joined by one bridge.

Needs root. PID 1 of a pod is the program itself, and its ports are its own, as in a real pod.
"""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

CAN_RUN = os.geteuid() == 0 and all(shutil.which(tool) for tool in ("ip", "unshare"))
BRIDGE = f"prorl{os.getpid()}"
"""Its own for each test run: others may run on the machine, or may have been killed on it."""


def _free_network() -> str:
    addresses = subprocess.run(["ip", "-4", "-o", "addr"], check=True, capture_output=True).stdout
    wanted = (f"10.213.{(os.getpid() + offset) % 256}" for offset in range(256))
    return next(network for network in wanted if f"{network}.".encode() not in addresses)


NETWORK = _free_network() if CAN_RUN else ""
PRIVATE_RAY_DIR = 'mkdir -p /tmp/ray && mount -t tmpfs none /tmp/ray && exec "$@"'


class Pod:
    """A running pod. Output goes to log."""

    def __init__(self, name: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self.name = name
        self.log = log
        self._process = process

    def terminate(self) -> None:
        """SIGTERM to PID 1 of the pod."""
        os.kill(self._init, signal.SIGTERM)

    def kill(self) -> None:
        """All processes of the pod at once, as when its node dies."""
        self._process.kill()
        self._process.wait()

    def wait(self, timeout_s: float) -> int:
        """The exit code of PID 1."""
        return self._process.wait(timeout_s)

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def processes(self, fragment: str = "") -> list[int]:
        """Pids, as seen from outside, of its processes with the fragment in their command."""
        children = _read(Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children"))
        if not children:
            return []  # it is just starting
        namespace = _pid_namespace(Path("/proc") / children.split()[0])
        entries = [entry for entry in Path("/proc").iterdir() if entry.name.isdecimal()]
        return [
            int(entry.name)
            for entry in entries
            if _pid_namespace(entry) == namespace and fragment in _read(entry / "cmdline")
        ]

    @property
    def _init(self) -> int:
        return min(self.processes())


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""  # the process has just ended


def _pid_namespace(entry: Path) -> str | None:
    try:
        return os.readlink(entry / "ns/pid")
    except OSError:
        return None  # it has just ended


@contextmanager
def pod_network() -> Iterator[None]:
    """The bridge; this process has the address NETWORK.1 on it."""
    _ip("link", "add", BRIDGE, "type", "bridge")
    try:
        _ip("addr", "add", f"{NETWORK}.1/24", "dev", BRIDGE)
        _ip("link", "set", BRIDGE, "up")
        yield
    finally:
        _ip("link", "del", BRIDGE)


@contextmanager
def network_namespace(number: int) -> Iterator[str]:
    """A namespace with the address NETWORK.number; yields its name."""
    name, outside, inside = f"{BRIDGE}-{number}", f"{BRIDGE}o{number}", f"{BRIDGE}i{number}"
    _ip("netns", "add", name)
    try:
        _ip("link", "add", outside, "type", "veth", "peer", "name", inside, "netns", name)
        _ip("link", "set", outside, "master", BRIDGE, "up")
        _ip("-n", name, "addr", "add", f"{NETWORK}.{number}/24", "dev", inside)
        _ip("-n", name, "link", "set", inside, "up")
        _ip("-n", name, "link", "set", "lo", "up")
        yield name
    finally:
        _ip("link", "del", outside)  # the namespace itself outlives its name for a moment
        _ip("netns", "del", name)


class Pods:
    """Starts pods; whatever still runs at the end is killed."""

    def __init__(self, stack: ExitStack, directory: Path) -> None:
        self._stack = stack
        self._directory = directory
        self._namespaces: dict[int, str] = {}

    def start(
        self, name: str, number: int, command: Sequence[str], environment: dict[str, Any]
    ) -> Pod:
        """A pod at NETWORK.number; the number may be used again after the pod has ended."""
        if number not in self._namespaces:
            self._namespaces[number] = self._stack.enter_context(network_namespace(number))
        namespaces = ["--pid", "--fork", "--kill-child", "--mount-proc", "--mount"]
        shell = ["sh", "-c", PRIVATE_RAY_DIR, "sh", *command]
        log = self._directory / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["ip", "netns", "exec", self._namespaces[number], "unshare", *namespaces, *shell],
                env={**os.environ, **{key: str(value) for key, value in environment.items()}},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        pod = Pod(name, process, log)
        self._stack.callback(pod.kill)
        return pod


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)
