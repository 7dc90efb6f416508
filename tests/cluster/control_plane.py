"""A real control plane in a temporary directory: etcd, kube-apiserver, kube-controller-manager.

Without a node nothing runs pods, but validation, RBAC, Pod Security and garbage collection are
real. node.py adds the node.
"""

import json
import os
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

from cluster.pki import make_pki
from cluster.processes import Processes
from rbac_audit import OPERATOR, Manifest

HERE = Path(__file__).parent
START_TIMEOUT_S = 90
LOOPBACK = "127.0.0.1"
SERVICE_NETWORK = "10.96.0.0/16"
KUBERNETES_ADDRESS = "10.96.0.1"
ADMIN_TOKEN = "admin-of-the-test-cluster"
NODE = "prorl-node"
TOKENS = {
    ADMIN_TOKEN: ("admin", "system:masters"),
    "scheduler-token": ("system:kube-scheduler", ""),
    "kubelet-token": (f"system:node:{NODE}", "system:nodes"),
    "proxy-token": ("system:kube-proxy", ""),
    "dns-token": ("prorl-test:coredns", "system:masters"),
}
"""Token -> user and group. They open a cluster that lives for minutes on one machine."""


def binaries() -> Path:
    """Where build.sh puts the commands."""
    answer = subprocess.run(
        [str(HERE / "build.sh"), "--print"], check=True, capture_output=True, text=True
    )
    return Path(answer.stdout.strip())


def missing() -> str | None:
    """Why a control plane cannot be started here, or None."""
    folder = binaries()
    if (folder / "complete").exists():
        return None
    return f"the Kubernetes commands are not in {folder}: run `make cluster-deps`"


def free_port() -> int:
    """A loopback port that is free now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


@dataclass(kw_only=True)
class ControlPlane:
    """Use as a context manager. `address` is where others reach the API server; `audit_policy`
    says what it writes into `audit_log`."""

    directory: Path
    address: str = LOOPBACK
    scheduler: bool = False
    audit_policy: Manifest = field(default_factory=lambda: OPERATOR)
    processes: Processes = field(init=False)
    port: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        self.processes = Processes(directory=self.directory)

    @property
    def url(self) -> str:
        """Of the API server."""
        return f"https://{self.address}:{self.port}"

    @property
    def kubeconfig(self) -> Path:
        """For an administrator."""
        return self.directory / "kubeconfig"

    @property
    def audit_log(self) -> Path:
        """JSON lines."""
        return self.directory / "audit.log"

    @property
    def kubectl(self) -> Path:
        """The command of the same version."""
        return binaries() / "kubectl"

    def __enter__(self) -> "ControlPlane":
        try:
            self._start()
        except BaseException:
            self.processes.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.processes.stop()

    def kubeconfig_of(self, token: str) -> Path:
        """A kubeconfig in the directory for the owner of the token."""
        path = self.directory / f"{token}.kubeconfig"
        path.write_text(json.dumps(self._config(token)))
        os.chmod(path, 0o600)
        return path

    def _start(self) -> None:
        make_pki(self.directory, [LOOPBACK, self.address, KUBERNETES_ADDRESS])
        rows = [f'{t},{user},{user},"{group}"\n' for t, (user, group) in TOKENS.items()]
        (self.directory / "tokens.csv").write_text("".join(rows))
        self.kubeconfig_of(ADMIN_TOKEN).rename(self.kubeconfig)
        self._start_servers()
        self._await_ready()
        self.processes.start(
            binaries() / "kube-controller-manager", "--kubeconfig", self.kubeconfig,
            "--leader-elect=false", "--use-service-account-credentials",
            "--service-account-private-key-file", "service-accounts.key",
            "--root-ca-file", "ca.crt", "--secure-port", free_port(),
        )  # fmt: skip
        if self.scheduler:
            kubeconfig = self.kubeconfig_of("scheduler-token")
            self.processes.start(
                binaries() / "kube-scheduler", "--kubeconfig", kubeconfig,
                "--leader-elect=false", "--secure-port", free_port(),
            )  # fmt: skip

    def _start_servers(self) -> None:
        (self.directory / "audit-policy.yaml").write_text(json.dumps(self.audit_policy))
        etcd, peer = (f"http://{LOOPBACK}:{free_port()}" for _ in range(2))
        self.processes.start(
            binaries() / "etcd", "--data-dir", "etcd", "--unsafe-no-fsync",
            "--listen-client-urls", etcd, "--advertise-client-urls", etcd,
            "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
            "--initial-cluster", f"default={peer}",
        )  # fmt: skip
        self.processes.start(
            binaries() / "kube-apiserver", "--etcd-servers", etcd, "--secure-port", self.port,
            "--bind-address", self.address, "--advertise-address", self.address,
            "--service-cluster-ip-range", SERVICE_NETWORK, "--authorization-mode", "Node,RBAC",
            "--token-auth-file", "tokens.csv", "--client-ca-file", "ca.crt",
            "--tls-cert-file", "server.crt", "--tls-private-key-file", "server.key",
            "--kubelet-client-certificate", "kubelet-client.crt",
            "--kubelet-client-key", "kubelet-client.key",
            "--service-account-issuer", "https://kubernetes.default.svc",
            "--service-account-key-file", "service-accounts.key",
            "--service-account-signing-key-file", "service-accounts.key",
            "--audit-policy-file", "audit-policy.yaml", "--audit-log-path", self.audit_log,
        )  # fmt: skip

    def _await_ready(self) -> None:
        trusted = ssl.create_default_context(cafile=str(self.directory / "ca.crt"))
        request = urllib.request.Request(
            f"{self.url}/readyz", headers={"Authorization": f"Bearer {ADMIN_TOKEN}"}
        )
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            self.processes.check()
            try:
                with urllib.request.urlopen(request, context=trusted, timeout=5) as answer:
                    if answer.status == 200:
                        return
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)  # not listening yet
        raise RuntimeError(f"kube-apiserver was not ready after {START_TIMEOUT_S} s")

    def _config(self, token: str) -> dict[str, object]:
        trusted = str(self.directory / "ca.crt")
        cluster = {"server": self.url, "certificate-authority": trusted}
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": "user", "user": {"token": token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "user"}}],
        }
