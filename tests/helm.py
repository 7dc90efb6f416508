"""What helm, without a cluster, makes of the chart."""

import subprocess
from typing import Any

import yaml
from cluster.control_plane import binaries
from cluster.fixtures import need_commands
from cluster.product import CHART

MONITORING = "monitoring.coreos.com/v1"
"""API of the Prometheus operator, which most clusters do not have."""
Manifest = dict[str, Any]


def helm(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """It may fail."""
    need_commands()
    command = [str(binaries() / "helm"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def template(
    *flags: str, namespace: str, release: str = "prorl"
) -> "subprocess.CompletedProcess[str]":
    """`helm template`, which may fail, as for a cluster of the supported version."""
    name = (release, str(CHART), "--namespace", namespace, "--kubeconfig", "/dev/null")
    return helm("template", *name, "--kube-version=1.34.0", *flags)


def rendered(*flags: str, namespace: str, release: str = "prorl") -> list[Manifest]:
    """The chart's objects."""
    done = template(*flags, namespace=namespace, release=release)
    assert done.returncode == 0, done.stderr
    return [one for one in yaml.safe_load_all(done.stdout) if one]
