"""A whole Kubernetes in network, mount and process namespaces of its own.

Killing its first process ends every program and container in it and takes its mounts, links and
packet filter rules along: nothing of it is left on the machine but a directory.
"""

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cluster import images
from cluster.control_plane import missing

START_TIMEOUT_S = 180
TESTS = Path(__file__).parents[1]
NEEDED = ("ip", "unshare", "nsenter", "setpriv", "containerd", "ctr", "runc", "iptables", "buildah")
CNI_PLUGINS = Path("/usr/lib/cni")
CGROUPS = Path("/sys/fs/cgroup")


class ClusterError(RuntimeError):
    """A sentence for the user."""


def cannot_run() -> str | None:
    """Why no cluster with a node can be started on this machine, or None."""
    if os.geteuid() != 0:
        return "a node needs root (namespaces, containerd)"
    lacking = [tool for tool in NEEDED if shutil.which(tool) is None]
    if not (CNI_PLUGINS / "bridge").exists():
        lacking.append(f"the CNI plugins in {CNI_PLUGINS}")
    if lacking:
        return f"missing: {', '.join(lacking)}; run `make cluster-deps`"
    return missing() or images.missing()


@dataclass(kw_only=True)
class LocalCluster:
    """Control plane and one node below `directory`."""

    directory: Path

    @property
    def kubeconfig(self) -> Path:
        """For an administrator."""
        return self.directory / "kubeconfig"

    @property
    def audit_log(self) -> Path:
        """The operator's requests to the API server, as JSON lines (rbac_audit)."""
        return self.directory / "audit.log"

    @property
    def running(self) -> bool:
        """Whether its first process lives."""
        pid = self._pid()
        return pid is not None and _is_ours(pid, self.directory)

    def start(self, *, tied: bool) -> None:
        """Returns when the node is ready and has its images. `tied`: ends with this process."""
        reason = cannot_run()
        if reason is not None:
            raise ClusterError(f"No local cluster here: {reason}")
        if self.running:
            raise ClusterError(f"A cluster runs in {self.directory}: `make cluster-down` ends it.")
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir(parents=True)
        make_cgroups(self.cgroup)
        network = _free_network()
        process = self._spawn(network, tied=tied)
        try:
            self._connect(process.pid, network)
            self._await_ready(process)
        except BaseException:
            process.kill()
            raise

    def stop(self) -> None:
        """Ends it and removes its directory."""
        pid = self._pid()
        if pid is not None and self.running:
            os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)
            _await("its processes to end", lambda: not self.running, 30)
        remove_cgroups(self.cgroup)
        shutil.rmtree(self.directory, ignore_errors=True)

    def pid_of(self, program: str) -> int:
        """Of one of its programs, in this process's namespace; it must run."""
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # it has just ended
                words = (folder / "cmdline").read_bytes().decode().split("\0")
                if Path(words[0]).name == program and str(self.directory) in " ".join(words):
                    return int(folder.name)
        raise ClusterError(f"No {program} runs for {self.directory}.")

    @property
    def cgroup(self) -> str:
        """Name below every cgroup v1 hierarchy."""
        return f"prorl-{hashlib.sha256(str(self.directory).encode()).hexdigest()[:8]}"

    def _spawn(self, network: str, *, tied: bool) -> "subprocess.Popen[bytes]":
        tie = ["setpriv", "--pdeathsig", "KILL"] if tied else ["setsid"]
        namespaces = ["--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
        inside = [sys.executable, "-m", "cluster.inside", str(self.directory), network, self.cgroup]
        with (self.directory / "cluster.log").open("wb") as log:
            process = subprocess.Popen(
                [*tie, "unshare", *namespaces, *inside],
                env={**os.environ, "PYTHONPATH": str(TESTS), "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        (self.directory / "pid").write_text(str(process.pid))
        return process

    def _connect(self, pid: int, network: str) -> None:
        """A cable between the machine (.1) and the cluster (.2); it goes with the namespace."""
        host = os.stat("/proc/self/ns/net").st_ino
        _await("its network namespace", lambda: _network_of(_child(pid)) not in (None, host), 30)
        link = f"prorl{pid}"
        ip = ["link", "add", link, "type", "veth", "peer", "name", "uplink", "netns", _child(pid)]
        for command in (
            ip,
            ["addr", "add", f"{network}.1/24", "dev", link],
            ["link", "set", link, "up"],
        ):
            subprocess.run(["ip", *map(str, command)], check=True)

    def _await_ready(self, process: "subprocess.Popen[bytes]") -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not (self.directory / "ready").exists():
            log = (self.directory / "cluster.log").read_text(errors="replace")
            if process.poll() is not None:
                raise ClusterError(f"The cluster did not start:\n{log[-3000:]}")
            if time.monotonic() > deadline:
                raise ClusterError(
                    f"The cluster was not ready in {START_TIMEOUT_S} s:\n{log[-3000:]}"
                )
            time.sleep(0.1)

    def _pid(self) -> int | None:
        try:
            return int((self.directory / "pid").read_text())
        except FileNotFoundError:
            return None


def remove_cgroups(name: str) -> None:
    """Those that the kubelet has made; cgroup v1 keeps them after their processes."""
    _await("its cgroups to be empty", lambda: _without_cgroups(name), 30)


def _without_cgroups(name: str) -> bool:
    for top in CGROUPS.glob(f"*/{name}"):
        for folder, _, _ in os.walk(top, topdown=False):
            with contextlib.suppress(OSError):  # a process is just leaving it
                os.rmdir(folder)
    return not any(CGROUPS.glob(f"*/{name}"))


def make_cgroups(name: str) -> None:
    """The kubelet wants its root to be there in every cgroup v1 hierarchy."""
    for hierarchy in CGROUPS.iterdir():
        if (hierarchy / "cgroup.procs").exists() and hierarchy.name != "unified":
            (hierarchy / name).mkdir(exist_ok=True)
    for setting in ("cpuset.cpus", "cpuset.mems"):  # a new one is empty, and takes no process
        value = (CGROUPS / "cpuset" / setting).read_text()
        (CGROUPS / "cpuset" / name / setting).write_text(value)


def _free_network() -> str:
    addresses = json.loads(subprocess.check_output(["ip", "-4", "-j", "addr"]))
    used = {one["local"].rsplit(".", 1)[0] for link in addresses for one in link["addr_info"]}
    wanted = (f"10.214.{(os.getpid() + offset) % 256}" for offset in range(256))
    return next(network for network in wanted if network not in used)


def _is_ours(pid: int, directory: Path) -> bool:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return str(directory).encode() in command


def _child(pid: int) -> int:
    """The process in the namespaces (unshare forks); 0 while there is none."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return 0
    return int(children[0]) if children else 0


def _network_of(pid: int) -> int | None:
    try:
        return os.stat(f"/proc/{pid}/ns/net").st_ino
    except OSError:
        return None


def _await(what: str, check: Callable[[], bool], timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while not check():
        if time.monotonic() > deadline:
            raise ClusterError(f"The local cluster waited {timeout_s} s for {what}.")
        time.sleep(0.05)
