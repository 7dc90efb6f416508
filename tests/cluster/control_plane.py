"""A real control plane in a temporary directory: etcd, kube-apiserver, kube-controller-manager.

No node: nothing runs pods, but validation, RBAC, Pod Security and garbage collection are real.
"""

import datetime
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

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

HERE = Path(__file__).parent
START_TIMEOUT_S = 90
ADMIN_TOKEN = "admin-of-the-test-cluster"


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
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(kw_only=True)
class ControlPlane:
    """Use as a context manager."""

    directory: Path
    url: str = ""
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def kubeconfig(self) -> Path:
        """For an administrator."""
        return self.directory / "kubeconfig"

    @property
    def kubectl(self) -> Path:
        """The command of the same version."""
        return binaries() / "kubectl"

    def __enter__(self) -> "ControlPlane":
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Ends the processes, newest first."""
        for process in reversed(self.processes):
            process.terminate()
        for process in reversed(self.processes):
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _start(self) -> None:
        etcd, peer, api = free_port(), free_port(), free_port()
        self.url = f"https://127.0.0.1:{api}"
        make_pki(self.directory)
        self._write_kubeconfig()
        self._run(
            "etcd", "--data-dir", "etcd", "--unsafe-no-fsync",
            "--listen-client-urls", f"http://127.0.0.1:{etcd}",
            "--advertise-client-urls", f"http://127.0.0.1:{etcd}",
            "--listen-peer-urls", f"http://127.0.0.1:{peer}",
            "--initial-advertise-peer-urls", f"http://127.0.0.1:{peer}",
            "--initial-cluster", f"default=http://127.0.0.1:{peer}",
        )  # fmt: skip
        self._run(
            "kube-apiserver", "--etcd-servers", f"http://127.0.0.1:{etcd}",
            "--bind-address", "127.0.0.1", "--secure-port", str(api),
            "--service-cluster-ip-range", "10.96.0.0/16", "--authorization-mode", "Node,RBAC",
            "--token-auth-file", "tokens.csv", "--client-ca-file", "ca.crt",
            "--tls-cert-file", "server.crt", "--tls-private-key-file", "server.key",
            "--service-account-issuer", "https://kubernetes.default.svc",
            "--service-account-key-file", "service-accounts.key",
            "--service-account-signing-key-file", "service-accounts.key",
        )  # fmt: skip
        self._await_ready()
        self._run(
            "kube-controller-manager", "--kubeconfig", "kubeconfig", "--leader-elect=false",
            "--use-service-account-credentials",
            "--service-account-private-key-file", "service-accounts.key",
            "--root-ca-file", "ca.crt", "--secure-port", str(free_port()),
        )  # fmt: skip

    def _run(self, name: str, *arguments: str) -> None:
        with (self.directory / f"{name}.log").open("wb") as log:
            self.processes.append(
                subprocess.Popen(
                    [str(binaries() / name), *arguments], cwd=self.directory, stdout=log, stderr=log
                )
            )

    def _await_ready(self) -> None:
        trusted = ssl.create_default_context(cafile=str(self.directory / "ca.crt"))
        request = urllib.request.Request(
            f"{self.url}/readyz", headers={"Authorization": f"Bearer {ADMIN_TOKEN}"}
        )
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            dead = [p.args for p in self.processes if p.poll() is not None]
            if dead:
                raise RuntimeError(f"{dead[0]} ended; see the logs in {self.directory}")
            try:
                with urllib.request.urlopen(request, context=trusted, timeout=5) as answer:
                    if answer.status == 200:
                        return
            except (urllib.error.URLError, OSError):
                time.sleep(0.2)  # not listening yet
        raise RuntimeError(f"kube-apiserver was not ready after {START_TIMEOUT_S} s")

    def _write_kubeconfig(self) -> None:
        (self.directory / "tokens.csv").write_text(f'{ADMIN_TOKEN},admin,1,"system:masters"\n')
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [
                {
                    "name": "test",
                    "cluster": {
                        "server": self.url,
                        "certificate-authority": str(self.directory / "ca.crt"),
                    },
                }
            ],
            "users": [{"name": "admin", "user": {"token": ADMIN_TOKEN}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}],
        }
        self.kubeconfig.write_text(json.dumps(config))
        os.chmod(self.kubeconfig, 0o600)


def make_pki(directory: Path) -> None:
    """ca.crt, server.{crt,key} for 127.0.0.1 and a key for service account tokens."""
    ca_key, server_key = _key(), _key()
    ca = _certificate("test-ca", ca_key, "test-ca", ca_key, authority=True)
    server = _certificate("kube-apiserver", server_key, "test-ca", ca_key, authority=False)
    (directory / "ca.crt").write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    (directory / "server.crt").write_bytes(server.public_bytes(serialization.Encoding.PEM))
    for name, key in (("server.key", server_key), ("service-accounts.key", _key())):
        (directory / name).write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.TraditionalOpenSSL,
                serialization.NoEncryption(),
            )
        )


def _key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _certificate(
    subject: str,
    key: rsa.RSAPrivateKey,
    issuer: str,
    issuer_key: rsa.RSAPrivateKey,
    *,
    authority: bool,
) -> x509.Certificate:
    import ipaddress

    now = datetime.datetime.fromtimestamp(time.time(), tz=datetime.UTC)
    names = x509.SubjectAlternativeName(
        [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")]
    )
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(names, critical=False)
        .sign(issuer_key, hashes.SHA256())
    )
