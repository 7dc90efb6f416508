"""The operator on the session's API server with the rights of its chart; a namespace per test."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from cluster.control_plane import ControlPlane
from controller_cluster import SYSTEM, Api, Namespace, make_namespace, until
from helm import rendered
from operator_process import Operator, running_operator, service_account_kubeconfig


@pytest.fixture(scope="session")
def api(control_plane: ControlPlane) -> Api:
    """With the chart's RBAC applied."""
    one = Api(plane=control_plane)
    one.apply(
        yaml.safe_dump({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM}})
    )
    kinds = ("ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding")
    made = rendered(namespace=SYSTEM, release="prorl-operator")
    wanted = [m for m in made if m["kind"] in kinds]
    one.apply(yaml.safe_dump_all(wanted))
    return one


@pytest.fixture
def kubeconfig(api: Api, tmp_path: Path) -> Path:
    """Of the operator's ServiceAccount."""
    return service_account_kubeconfig(api.plane, "prorl-operator", tmp_path / "kubeconfig")


@pytest.fixture
def operator(kubeconfig: Path) -> Iterator[Operator]:
    """Ready."""
    with running_operator(kubeconfig, "--no-leader-election", "--resync-seconds=2") as one:
        until("the operator is ready", lambda: one.get("/readyz")[0] == 200)
        yield one


@pytest.fixture
def space(api: Api, request: pytest.FixtureRequest) -> Namespace:
    """Pod Security restricted."""
    test = request.node.name.lower()
    name = "".join(c if c.isalnum() else "-" for c in test)[-40:].strip("-")
    return make_namespace(api, name, **{"pod-security.kubernetes.io/enforce": "restricted"})
