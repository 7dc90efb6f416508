"""One node: containerd, CNI, kubelet, kube-proxy and DNS, in the namespaces of inside.py."""

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster import images
from cluster.control_plane import NODE, ControlPlane, binaries

Manifest = dict[str, Any]
DNS_ADDRESS = "10.96.0.10"
POD_NETWORK = "10.88.0.0/16"
POD_GATEWAY = "10.88.0.1"
SOCKET = "/run/containerd/containerd.sock"
READY_TIMEOUT_S = 90
ROOT = Path(__file__).parents[2]

CONTAINERD = """version = 2
root = "{directory}/containerd"
state = "/run/containerd"
[grpc]
  address = "{socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  restrict_oom_score_adj = true  # a container's user may lack CAP_SYS_RESOURCE
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{directory}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    base_runtime_spec = "{directory}/base-spec.json"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
"""
CNI: Manifest = {
    "cniVersion": "0.4.0",
    "name": "pods",
    "plugins": [
        {
            "type": "bridge",
            "bridge": "cni0",
            "isGateway": True,
            "ipMasq": True,
            "hairpinMode": True,
            "ipam": {
                "type": "host-local",
                "ranges": [[{"subnet": POD_NETWORK}]],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        },
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ],
}
COREFILE = """.:53 {{
    bind {dns}
    errors
    kubernetes cluster.local in-addr.arpa {{
        kubeconfig {kubeconfig}
        ttl 1
    }}
}}
"""


@dataclass(kw_only=True)
class Node:
    """Its programs are among the control plane's processes."""

    plane: ControlPlane
    cgroup: str

    @property
    def directory(self) -> Path:
        """Of the whole cluster."""
        return self.plane.directory

    def start_containerd(self) -> None:
        """Returns when it answers."""
        self._write("cni/10-pods.conflist", json.dumps(CNI))
        self._write("source.pth", f"{images.SOURCE}/crds\n{images.SOURCE}/trainer_image\n")
        self._write("base-spec.json", json.dumps(base_spec(self.directory / "source.pth")))
        config = CONTAINERD.format(directory=self.directory, socket=SOCKET, pause=images.PAUSE)
        self._write("containerd.toml", config)
        self.plane.processes.start("containerd", "--config", "containerd.toml")
        self._await("containerd", ["ctr", "version"])

    def start_kubelet(self) -> None:
        """And what gives pods names and services."""
        self._start_dns()
        self._start_proxy()
        self._write("kubelet.json", json.dumps(self._kubelet_config()))
        self.plane.processes.start(
            binaries() / "kubelet", "--config", "kubelet.json", "--hostname-override", NODE,
            "--kubeconfig", self.plane.kubeconfig_of("kubelet-token"),
            "--container-runtime-endpoint", f"unix://{SOCKET}", "--root-dir", "/var/lib/kubelet",
            "--node-ip", self.plane.address,
        )  # fmt: skip

    def await_ready(self) -> None:
        """The node takes pods."""
        kubectl = [str(self.plane.kubectl), "--kubeconfig", str(self.plane.kubeconfig)]
        self._await("the node", [*kubectl, "get", "node", NODE])
        wait = ["wait", "--for=condition=Ready", f"node/{NODE}", "--timeout=1s"]
        self._await("the node to be ready", [*kubectl, *wait])

    def _start_dns(self) -> None:
        kubeconfig = self.plane.kubeconfig_of("dns-token")
        self._write("Corefile", COREFILE.format(dns=DNS_ADDRESS, kubeconfig=kubeconfig))
        self.plane.processes.start(binaries() / "coredns", "-conf", "Corefile")

    def _start_proxy(self) -> None:
        config = {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "iptables",
            "clusterCIDR": POD_NETWORK,
            "hostnameOverride": NODE,
            "clientConnection": {"kubeconfig": str(self.plane.kubeconfig_of("proxy-token"))},
            "conntrack": {"maxPerCore": 0},
            # Answers between two pods of one bridge would otherwise pass the translation by.
            "iptables": {"masqueradeAll": True, "minSyncPeriod": "0s"},
        }
        self._write("proxy.json", json.dumps(config))
        self.plane.processes.start(binaries() / "kube-proxy", "--config", "proxy.json")

    def _kubelet_config(self) -> Manifest:
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": False},
                "x509": {"clientCAFile": str(self.directory / "ca.crt")},
            },
            "authorization": {"mode": "AlwaysAllow"},
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{self.cgroup}",
            "cgroupsPerQOS": True,
            "enforceNodeAllocatable": [],
            "failCgroupV1": False,
            "failSwapOn": False,
            "clusterDNS": [DNS_ADDRESS],
            "clusterDomain": "cluster.local",
            "resolvConf": "",
            # The disk of a developer's machine is his own business.
            "imageGCHighThresholdPercent": 100,
            "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%"},
            "evictionPressureTransitionPeriod": "5s",
            "syncFrequency": "10s",
        }

    def _await(self, what: str, command: list[str]) -> None:
        deadline = time.monotonic() + READY_TIMEOUT_S
        while subprocess.run(command, capture_output=True, check=False).returncode:
            self.plane.processes.check()
            if time.monotonic() > deadline:
                raise RuntimeError(f"waited {READY_TIMEOUT_S} s for {what}")
            time.sleep(0.1)

    def _write(self, name: str, text: str) -> None:
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def base_spec(source_path: Path) -> Manifest:
    """What every container starts from: this checkout and its environment are part of the node,
    read-only, so that no image has to carry gigabytes of libraries. They lie at places of their
    own: a checkout below /tmp would be hidden by a pod's /tmp. `source_path` says so to Python."""
    spec: Manifest = json.loads(subprocess.check_output(["ctr", "oci", "spec"]))
    spec["process"].pop("rlimits", None)  # nobody here may raise hard limits
    environment = Path(sys.prefix).resolve()
    editable = next(environment.glob("lib/python3*/site-packages/_editable_impl_prorl*.pth"))
    places = {images.SOURCE: ROOT, images.ENVIRONMENT: environment}
    places[f"{images.ENVIRONMENT}/{editable.relative_to(environment)}"] = source_path
    for inside, outside in places.items():
        options = ["rbind", "ro", "nosuid", "nodev"]
        spec["mounts"].append(
            {"destination": inside, "type": "bind", "source": str(outside), "options": options}
        )
    return spec
