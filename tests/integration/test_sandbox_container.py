"""Hostile programs in a container of runc with containerd's default system call filter.

With another user, no capabilities, no new privileges and a read-only root this is what a pod under
Pod Security `restricted` is held by; only the kubelet is missing.
"""

import os
import shutil
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hostile import run

ROOT = Path(__file__).parents[2]
NOT_BOUND = {"proc", "sys", "dev", "tmp", "run", "lost+found"}
DROP = (
    "/usr/bin/setpriv", "--reuid=65532", "--regid=65532", "--clear-groups", "--no-new-privs",
    "--bounding-set=-all", "--inh-caps=-all",
)  # fmt: skip

pytestmark = pytest.mark.skipif(
    os.getuid() != 0 or not shutil.which("ctr") or not shutil.which("setpriv"),
    reason="needs root, containerd (make cluster-deps) and setpriv",
)


@pytest.fixture
def address(tmp_path: Path) -> Iterator[Path]:
    """A containerd of this test's own."""
    socket = tmp_path / "containerd.sock"
    config = tmp_path / "containerd.toml"
    config.write_text(
        textwrap.dedent(f"""
            version = 2
            root = "{tmp_path}/root"
            state = "{tmp_path}/state"
            disabled_plugins = ["io.containerd.grpc.v1.cri"]
            [grpc]
              address = "{socket}"
        """)
    )
    with (tmp_path / "containerd.log").open("wb") as log:
        daemon = subprocess.Popen(["containerd", "--config", config], stdout=log, stderr=log)
    try:
        while subprocess.run(["ctr", "-a", socket, "version"], capture_output=True).returncode:
            assert daemon.poll() is None, (tmp_path / "containerd.log").read_text()
            time.sleep(0.1)
        yield socket
    finally:
        daemon.terminate()
        daemon.wait()


def contained(address: Path, rootfs: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    """The command on a read-only view of this machine."""
    names = [d.name for d in Path("/").iterdir() if d.is_dir() and d.name not in NOT_BOUND]
    for name in (*names, *NOT_BOUND):
        (rootfs / name).mkdir(parents=True)
    mounts = [f"type=bind,src=/{name},dst=/{name},options=rbind:ro" for name in names]
    mounts.append("type=tmpfs,src=tmpfs,dst=/tmp,options=rw:mode=1777")
    mounts += [f"type=bind,src={path},dst={path},options=rbind:ro" for path in {ROOT, *paths()}]
    words = ["ctr", "-a", str(address), "run", "--rm", "--rootfs", "--read-only", "--seccomp"]
    words += ["--cgroup", "", "--cwd", "/", "--env", f"PYTHONPATH={os.pathsep.join(paths())}"]
    words += [word for mount in mounts for word in ("--mount", mount)]
    return subprocess.run(
        [*words, str(rootfs), "hostile", *DROP, *command], capture_output=True, text=True
    )


def paths() -> list[str]:
    return [path for path in sys.path if Path(path).is_dir()]


@pytest.mark.timeout(400)
def test_programs_are_held_in_a_restricted_container(address: Path, tmp_path: Path) -> None:
    words = (sys.executable, run.__file__, "--sets", "code", "--step", "7")
    ended = contained(address, tmp_path / "rootfs", *words)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "isolation namespaces, " not in ended.stdout, "the default filter forbids them"
    assert "user 65532" in ended.stdout
