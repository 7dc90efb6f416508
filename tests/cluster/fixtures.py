"""pytest fixtures of a local Kubernetes: control plane only, and with a node and the operator.

Without what they need: skipped at a desk, failed on CI.
"""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from cluster.control_plane import ControlPlane, missing
from cluster.job import Job
from cluster.local import LocalCluster, cannot_run
from cluster.product import Product

ROOT = Path(__file__).parents[2]
CRDS = ROOT / "crds"
QUICKSTART = ROOT / "examples" / "quickstart.yaml"


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A control plane with our CRDs installed and established."""
    _need(missing())
    with ControlPlane(directory=tmp_path_factory.mktemp("control-plane")) as plane:
        kubectl = [str(plane.kubectl), "--kubeconfig", str(plane.kubeconfig)]
        for crd in sorted(CRDS.glob("*.yaml")):
            subprocess.run([*kubectl, "apply", "--server-side", "-f", str(crd)], check=True)
        # A CRD that is seconds old has no conditions yet, which is an error for the other wait.
        seen = ["wait", "--for=jsonpath={.status.conditions}", "crd", "--all", "--timeout=30s"]
        subprocess.run([*kubectl, *seen], check=True)
        wait = ["wait", "--for=condition=Established", "crd", "--all", "--timeout=30s"]
        subprocess.run([*kubectl, *wait], check=True)
        yield plane


@pytest.fixture(scope="session")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """A node, and the operator on it as its chart installs it."""
    _need(cannot_run())
    cluster = LocalCluster(directory=tmp_path_factory.mktemp("cluster"))
    cluster.start(tied=True)
    try:
        installed = Product(cluster=cluster)
        installed.install()
        yield installed
    finally:
        cluster.stop()


@pytest.fixture
def quickstart() -> dict[str, Any]:
    """The example as users have it; a test may change it."""
    return dict(yaml.safe_load(QUICKSTART.read_text()))


@pytest.fixture
def job(product: Product, request: pytest.FixtureRequest) -> Iterator[Job]:
    """A job to be applied, in a namespace of its own under Pod Security `restricted`."""
    namespace = "".join(c if c.isalnum() else "-" for c in request.node.name.lower())
    namespace = namespace[-40:].strip("-")
    product.namespace(namespace)
    yield Job(product=product, namespace=namespace, name="q")
    product.kubectl("delete", "namespace", namespace, "--wait")


def need_commands() -> None:
    """For tests that call one of the Kubernetes commands and need no server."""
    _need(missing())


def _need(lacking: str | None) -> None:
    if lacking is not None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(lacking)
