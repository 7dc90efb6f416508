"""pytest fixtures of a local Kubernetes. Without its commands: skipped at a desk, failed on CI."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster.control_plane import ControlPlane, missing

CRDS = Path(__file__).parents[2] / "crds"


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A control plane with our CRDs installed and established."""
    reason = missing()
    if reason is not None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    with ControlPlane(directory=tmp_path_factory.mktemp("control-plane")) as plane:
        kubectl = [str(plane.kubectl), "--kubeconfig", str(plane.kubeconfig)]
        for crd in sorted(CRDS.glob("*.yaml")):
            subprocess.run([*kubectl, "apply", "--server-side", "-f", str(crd)], check=True)
        wait = ["wait", "--for=condition=Established", "crd", "--all", "--timeout=30s"]
        subprocess.run([*kubectl, *wait], check=True)
        yield plane
