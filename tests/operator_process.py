"""The operator as a process, with the rights of its chart and no more."""

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cluster.control_plane import ControlPlane, free_port
from controller_cluster import ROOT, SYSTEM, Api


@dataclass(kw_only=True)
class Operator:
    """A running operator."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def get(self, path: str) -> tuple[int, str]:
        """HTTP status and text; status 0 while it does not listen."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as one:
                return one.status, one.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def counted(self, series: str) -> float:
        """Sum of the series whose line starts so."""
        lines = self.get("/metrics")[1].splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(series))

    def requests(self) -> float:
        """All API requests except those of the Lease (GET and PUT alternate there)."""
        verbs = ("POST", "PATCH", "DELETE")
        return sum(
            self.counted(f'prorl_operator_api_requests_total{{code="{code}",verb="{verb}"')
            for verb in verbs
            for code in (0, 200, 201, 403, 404, 409, 422, 500)
        )

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        self.process.terminate()
        return self.process.wait(20)


def service_account_kubeconfig(plane: ControlPlane, account: str, path: Path) -> Path:
    """With a token of the chart's ServiceAccount and no other right."""
    token_path = f"/api/v1/namespaces/{SYSTEM}/serviceaccounts/{account}/token"
    answer = Api(plane=plane).request("POST", token_path, {"spec": {"expirationSeconds": 7200}})
    config = json.loads(plane.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": answer["status"]["token"]}
    path.write_text(json.dumps(config))
    return path


@contextmanager
def running_operator(kubeconfig: Path, *flags: str) -> Iterator[Operator]:
    """Stopped at the end, whatever happens."""
    port = free_port()
    log = kubeconfig.with_name(f"operator-{port}.log")
    key = kubeconfig.with_name("token-key")
    key.write_text("0123456789abcdef0123456789abcdef")
    command = [sys.executable, "-m", "prorl_operator", f"--kubeconfig={kubeconfig}"]
    command += [f"--key-file={key}", f"--metrics-port={port}", "--poll-seconds=0.1"]
    command += [f"--leader-election-namespace={SYSTEM}", f"--identity=op-{port}", *flags]
    path = os.pathsep.join([str(ROOT / "crds"), str(ROOT / "operator")])
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, env=os.environ | {"PYTHONPATH": path}
        )
    operator = Operator(process=process, port=port, log=log)
    try:
        yield operator
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        print(log.read_text()[-6000:])
