"""The operator on a local cluster, as a platform team installs it: its chart, restricted."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster import images
from cluster.control_plane import binaries
from cluster.local import LocalCluster
from prometheus_client.parser import text_string_to_metric_families

Manifest = dict[str, Any]
ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "prorl-operator"
SYSTEM = "prorl-system"
RELEASE = "prorl"
RESTRICTED = "pod-security.kubernetes.io/enforce=restricted"


@dataclass(frozen=True, kw_only=True)
class Product:
    """kubectl and helm against one cluster. Failures raise CalledProcessError with stderr."""

    cluster: LocalCluster

    def install(self, chart: Path = CHART, *, watch: str = "") -> None:
        """Or upgrade. Returns when the operator is ready. `watch`: the one namespace it serves."""
        self.namespace(SYSTEM)
        repository, _, tag = images.OPERATOR.rpartition(":")
        values = [f"image.repository={repository}", f"trainerImage={images.TRAINER}"]
        values += [f"verifierImage={images.VERIFIER}"]
        values += [f"watchNamespaces={{{watch}}}"] if watch else []
        flags = [f"--set={','.join(values)}", f"--set-string=image.tag={tag}"]
        flags += ["--namespace", SYSTEM, "--wait", "--timeout", "90s"]
        self.helm("upgrade", "--install", RELEASE, str(chart), *flags)

    def uninstall(self) -> None:
        """Returns when the operator has gone. What the chart keeps stays."""
        wait = ["--wait", "--cascade", "foreground", "--timeout", "90s"]
        self.helm("uninstall", RELEASE, "--namespace", SYSTEM, *wait)

    def namespace(self, name: str) -> None:
        """Made if it is not there; Pod Security `restricted` is enforced in it."""
        if self.find("namespace", name) is None:
            self.kubectl("create", "namespace", name)
        self.kubectl("label", "--overwrite", "namespace", name, RESTRICTED)

    def kubectl(self, *arguments: str, text: str | None = None) -> str:
        """Its stdout."""
        return self._run("kubectl", *arguments, text=text)

    def helm(self, *arguments: str) -> str:
        """Its stdout."""
        return self._run("helm", *arguments)

    def find(self, kind: str, name: str, namespace: str = "default") -> Manifest | None:
        """One object, or None."""
        wanted = ["get", kind, name, "-n", namespace, "--ignore-not-found", "-o", "json"]
        text = self.kubectl(*wanted)
        return json.loads(text) if text else None

    def objects(self, kinds: str, namespace: str, *selector: str) -> list[Manifest]:
        """Objects of some kinds, e.g. "pods,services"."""
        text = self.kubectl("get", kinds, "-n", namespace, "-o", "json", *selector)
        return list(json.loads(text)["items"])

    def operator_metric(self, name: str, **labels: str) -> float:
        """The series of the operator's /metrics with just these labels. Raises LookupError."""
        service = f"{RELEASE}-prorl-operator-metrics:metrics"
        path = f"/api/v1/namespaces/{SYSTEM}/services/{service}/proxy/metrics"
        for family in text_string_to_metric_families(self.kubectl("get", "--raw", path)):
            for sample in family.samples:
                if (sample.name, sample.labels) == (name, labels):
                    return float(sample.value)
        raise LookupError(f"The operator has no series {name} with {labels}.")

    def volume_of(self, claim: str, namespace: str = "default") -> Path:
        """Where the claim's files lie on this machine."""
        bound = self.find("pvc", claim, namespace) or {}
        volume = self.find("pv", bound["spec"]["volumeName"]) or {}
        return Path(volume["spec"]["hostPath"]["path"])

    def command(self, program: str) -> list[str]:
        """How kubectl or helm is called as an administrator."""
        return [str(binaries() / program), "--kubeconfig", str(self.cluster.kubeconfig)]

    def _run(self, program: str, *arguments: str, text: str | None = None) -> str:
        command = [*self.command(program), *arguments]
        done = subprocess.run(command, input=text, text=True, capture_output=True, check=False)
        if done.returncode:
            words = " ".join([program, *arguments[:4]])
            raise RuntimeError(f"{words}: {(done.stderr or done.stdout).strip()[-2000:]}")
        return done.stdout
