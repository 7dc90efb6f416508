"""The first process of a local cluster's namespaces: `python -m cluster.inside DIR NET CGROUP`."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from cluster import images, node
from cluster.control_plane import NODE, ControlPlane

CHECK_PERIOD_S = 1.0
PERSISTENT_VOLUMES = 32
REVIVED = ("kubelet",)
"""It may end while its pods run on, as on any node; tests/disruptions kills it."""
TMPFS = ("/run", "/var/lib/cni")
"""Hidden below tmpfs: what Debian's packages and earlier runs have there is not ours."""


def main(directory: Path, network: str, cgroup: str) -> None:
    """Brings the cluster up, says so by the file `ready`, and watches it until it is killed."""
    prepare_mounts(directory)
    prepare_network(f"{network}.2")
    with ControlPlane(directory=directory, address=f"{network}.2", scheduler=True) as plane:
        say("control plane is ready")
        one = node.Node(plane=plane, cgroup=cgroup)
        one.start_containerd()
        images.load()
        say("images are loaded")
        one.start_kubelet()
        plane_apply(plane, volumes(directory))
        one.await_ready()
        say("node is ready")
        (directory / "ready").touch()
        while True:
            plane.processes.check(revive=REVIVED)
            reap()
            time.sleep(CHECK_PERIOD_S)


def say(text: str) -> None:
    """A line of the cluster's log."""
    print(f"{time.strftime('%T')} {text}", flush=True)


def prepare_mounts(directory: Path) -> None:
    """Mounts of pods must reach the kubelet's children, and none reaches the machine."""
    _run("mount", "--make-rprivate", "/")
    _run("mount", "--make-rshared", "/")
    for place in TMPFS:
        Path(place).mkdir(parents=True, exist_ok=True)
        _run("mount", "-t", "tmpfs", "tmpfs", place)
    for name, place in (("kubelet", "/var/lib/kubelet"), ("pod-logs", "/var/log")):
        (directory / name).mkdir()
        Path(place).mkdir(parents=True, exist_ok=True)
        _run("mount", "--bind", str(directory / name), place)
    _run("mount", "--make-rshared", "/var/lib/kubelet")


def prepare_network(address: str) -> None:
    """The uplink is put there by the process that made the namespace."""
    deadline = time.monotonic() + 30
    while subprocess.run(["ip", "link", "show", "uplink"], capture_output=True).returncode:
        if time.monotonic() > deadline:
            raise RuntimeError("no uplink within 30 s")
        time.sleep(0.05)
    _run("ip", "link", "set", "lo", "up")
    _run("ip", "addr", "add", f"{address}/24", "dev", "uplink")
    _run("ip", "link", "set", "uplink", "up")
    _run("ip", "addr", "add", f"{node.DNS_ADDRESS}/32", "dev", "lo")
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    hosts = Path("/run/hosts")
    hosts.write_text(f"127.0.0.1 localhost\n{address} {NODE}\n")
    _run("mount", "--bind", str(hosts), "/etc/hosts")


def volumes(directory: Path) -> list[node.Manifest]:
    """A default storage class whose volumes are there already."""
    default = {"storageclass.kubernetes.io/is-default-class": "true"}
    items: list[node.Manifest] = [
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {"name": "local", "annotations": default},
            "provisioner": "kubernetes.io/no-provisioner",
        }
    ]
    for number in range(PERSISTENT_VOLUMES):
        place = directory / "volumes" / str(number)
        place.mkdir(parents=True)
        place.chmod(0o777)  # the kubelet does not change the owner of a hostPath
        items.append(_volume(number, place))
    return items


def _volume(number: int, place: Path) -> node.Manifest:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"volume-{number}"},
        "spec": {
            "capacity": {"storage": "100Gi"},
            "accessModes": ["ReadWriteMany"],
            "storageClassName": "local",
            "hostPath": {"path": str(place)},
        },
    }


def plane_apply(plane: ControlPlane, items: list[node.Manifest]) -> None:
    """kubectl apply."""
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
    command = [str(plane.kubectl), "--kubeconfig", str(plane.kubeconfig), "apply", "-f", "-"]
    subprocess.run(command, input=text, text=True, check=True, stdout=subprocess.DEVNULL)


def reap() -> None:
    """Orphans become children of the first process of a PID namespace."""
    while os.waitpid(-1, os.WNOHANG)[0]:
        pass


def _run(*command: str) -> None:
    subprocess.run(command, check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
