"""The chart under eight sets of values: what every Kubernetes from 1.30 to 1.37, and a real API
server, say to what helm makes of it. charts/prorl-operator/ci has the sets."""

import os
import subprocess
from collections.abc import Iterator

import helm
import pytest
import yaml
from cluster import schemas
from cluster.control_plane import ControlPlane, binaries
from cluster.product import CHART
from helm import MONITORING, Manifest
from kubectl import Kubectl

SETS = sorted((CHART / "ci").glob("*.yaml"))
SYSTEM = "chart-system"
"""Not the one of test_controller, which has the same control plane."""


@pytest.fixture(scope="module")
def rendered() -> dict[str, list[Manifest]]:
    flags = (f"--api-versions={MONITORING}", "-f")
    return {path.stem: helm.rendered(*flags, str(path), namespace=SYSTEM) for path in SETS}


def _of(manifests: list[Manifest], kind: str) -> list[Manifest]:
    return [one for one in manifests if one["kind"] == kind]


def test_there_are_eight_sets() -> None:
    assert len(SETS) == 8


@pytest.mark.parametrize("version", schemas.VERSIONS)
def test_every_object_fits_the_schema_of_the_version(
    rendered: dict[str, list[Manifest]], version: str
) -> None:
    if lacking := schemas.missing():
        (pytest.fail if os.environ.get("CI") else pytest.skip)(lacking)
    different = {repr(one): one for made in rendered.values() for one in made}
    ours = [one for one in different.values() if one["apiVersion"] != MONITORING]
    wrong = {one["metadata"]["name"]: schemas.faults(one, version) for one in ours}
    assert {name: found for name, found in wrong.items() if found} == {}


def test_the_check_itself_sees_an_unknown_field(rendered: dict[str, list[Manifest]]) -> None:
    if lacking := schemas.missing():
        (pytest.fail if os.environ.get("CI") else pytest.skip)(lacking)
    (deployment,) = _of(rendered["defaults"], "Deployment")
    broken = deployment | {"spec": deployment["spec"] | {"replica": 1, "replicas": "one"}}
    assert len(schemas.faults(broken, "1.30.0")) == 2


@pytest.fixture(scope="module")
def kubectl(control_plane: ControlPlane) -> Iterator[Kubectl]:
    """With the namespaces of the sets, which warn of pods that are not restricted."""
    kubectl = Kubectl(control_plane)
    for name in (SYSTEM, "team-a", "team-b"):
        kubectl.must("create", "namespace", name)
        level = ("enforce", "warn")
        labels = [f"pod-security.kubernetes.io/{one}=restricted" for one in level]
        kubectl.must("label", "namespace", name, *labels)
    kubectl.must("wait", "-n", SYSTEM, "--for=create", "serviceaccount/default", "--timeout=30s")
    yield kubectl
    kubectl.must("delete", "namespace", SYSTEM, "team-a", "team-b", "--wait=false")


@pytest.mark.parametrize("name", [path.stem for path in SETS])
def test_a_real_server_takes_every_object_and_pod_security_has_no_objection(
    kubectl: Kubectl, rendered: dict[str, list[Manifest]], name: str
) -> None:
    known = [one for one in rendered[name] if one["apiVersion"] != MONITORING]
    kubectl.must(
        "apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict",
        "--warnings-as-errors", "-f", "-", text=yaml.safe_dump_all(known),
    )  # fmt: skip


def _dry(kubectl: Kubectl, *settings: str) -> "subprocess.CompletedProcess[str]":
    """An install in which everything is done but the making of objects."""
    flags = [f"--set={one}" for one in settings]
    name = ("prorl", str(CHART), "--namespace", SYSTEM, "--kubeconfig", kubectl.kubeconfig)
    return helm.helm("install", *name, "--dry-run=server", *flags)


def test_a_definition_of_somebody_else_is_not_taken_over(kubectl: Kubectl) -> None:
    done = _dry(kubectl)
    assert done.returncode != 0
    assert "has the definition of ProRLJobs already, from `kubectl apply`" in done.stderr


def test_the_job_in_the_notes_is_one_that_the_server_takes(kubectl: Kubectl) -> None:
    done = _dry(kubectl, "crds.enabled=false", "watchNamespaces={team-a}")
    assert done.returncode == 0, done.stderr
    command, rest = done.stdout.split("<<'JOB'\n")
    job, _, _ = rest.partition("\nJOB\n")
    assert command.endswith("kubectl apply --namespace team-a -f - ")
    kubectl.must("apply", "-n", "team-a", "--dry-run=server", "-f", "-", text=job)


def test_a_definition_of_another_version_is_told_before_anything_is_made(kubectl: Kubectl) -> None:
    crd = ("crd", "prorljobs.prorl.dev")
    path = "jsonpath={.metadata.annotations.prorl\\.dev/schema}"
    mark = kubectl.must("get", *crd, "-o", path)
    kubectl.must("annotate", "--overwrite", *crd, "prorl.dev/schema=of-yesterday")
    try:
        done = _dry(kubectl, "crds.enabled=false")
    finally:
        kubectl.must("annotate", "--overwrite", *crd, f"prorl.dev/schema={mark}")
    assert done.returncode != 0
    assert f"is of-yesterday, this chart needs {mark}" in done.stderr


def test_a_token_key_that_is_not_there_is_told(kubectl: Kubectl) -> None:
    done = _dry(kubectl, "crds.enabled=false", "tokenKeySecret=nowhere")
    assert f"namespace {SYSTEM} has no such Secret" in done.stderr


@pytest.mark.parametrize(
    ("setting", "where"),
    [
        ("image.name=x", "/image"),
        ("image.digest=latest", "/image/digest"),
        ("replicas=two", "/replicas"),
        ("resources.limit.cpu=1", "/resources"),
        ("tolerations[0].keys=a", "/tolerations/0"),
        ("affinity.podAffinity.required=a", "/affinity/podAffinity"),
        ("extraEnv[0].value=a", "/extraEnv/0"),
        ("networkPolicy.apiServerPorts={https}", "/networkPolicy/apiServerPorts/0"),
        ("crd.enabled=true", "''"),
    ],
)
def test_a_value_that_is_unknown_or_malformed_is_named(setting: str, where: str) -> None:
    done = helm.template(f"--set={setting}", namespace=SYSTEM)
    assert done.returncode != 0
    assert f"at '{where.strip(chr(39))}'" in done.stderr


def test_namespaces_mean_roles_only(rendered: dict[str, list[Manifest]]) -> None:
    for name in ("namespaced", "team"):
        kinds = {one["kind"] for one in rendered[name]}
        assert not kinds & {"ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition"}
    spaces = {one["metadata"]["namespace"] for one in _of(rendered["namespaced"], "Role")}
    assert spaces == {SYSTEM, "team-a", "team-b"}


def test_roles_of_users_add_to_those_of_the_cluster(rendered: dict[str, list[Manifest]]) -> None:
    roles = {one["metadata"]["name"]: one for one in _of(rendered["defaults"], "ClusterRole")}
    viewer, editor = (roles[f"prorl-prorl-operator-{role}"] for role in ("viewer", "editor"))
    aggregate = "rbac.authorization.k8s.io/aggregate-to-"
    assert viewer["metadata"]["labels"][aggregate + "view"] == "true"
    assert {aggregate + "edit", aggregate + "admin"} <= editor["metadata"]["labels"].keys()
    assert {verb for rule in viewer["rules"] for verb in rule["verbs"]} == {"get", "list", "watch"}
    assert "prorljobs/status" not in {
        one for rule in editor["rules"] if set(rule["verbs"]) - {"get"} for one in rule["resources"]
    }


def test_a_digest_pins_the_image_and_a_budget_guards_replicas(
    rendered: dict[str, list[Manifest]],
) -> None:
    (deployment,) = _of(rendered["hardened"], "Deployment")
    image = deployment["spec"]["template"]["spec"]["containers"][0]["image"]
    assert image.startswith("registry.example/prorl/operator@sha256:")
    (budget,) = _of(rendered["hardened"], "PodDisruptionBudget")
    assert budget["spec"]["maxUnavailable"] == 1
    assert budget["spec"]["selector"] == deployment["spec"]["selector"]
    assert not _of(rendered["defaults"], "PodDisruptionBudget")


def test_the_operator_is_closed_but_for_its_metrics(rendered: dict[str, list[Manifest]]) -> None:
    policy, of_test = _of(rendered["defaults"], "NetworkPolicy")
    (deployment,) = _of(rendered["defaults"], "Deployment")
    assert policy["spec"]["podSelector"] == deployment["spec"]["selector"]
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert policy["spec"]["ingress"] == [{"ports": [{"port": "metrics", "protocol": "TCP"}]}]
    ports = {port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]}
    assert ports == {53, 443, 6443, 8443, 8080}
    (test,) = _of(rendered["defaults"], "Job")
    labels = test["spec"]["template"]["metadata"]["labels"]
    assert of_test["spec"]["podSelector"]["matchLabels"] == labels
    wanted = policy["spec"]["podSelector"]["matchLabels"].items()
    assert not wanted <= labels.items(), "the test pod may ask"


def test_no_role_has_a_wildcard_or_reads_secrets(rendered: dict[str, list[Manifest]]) -> None:
    for made in rendered.values():
        for role in _of(made, "ClusterRole") + _of(made, "Role"):
            for rule in role["rules"]:
                assert "*" not in {*rule["verbs"], *rule["resources"], *rule["apiGroups"]}
                reads = {"get", "list", "watch"} & set(rule["verbs"])
                assert "secrets" not in rule["resources"] or not reads


def test_the_first_job_of_the_notes_can_be_pasted(kubectl: Kubectl) -> None:
    notes = _dry(kubectl, "crds.enabled=false", "watchNamespaces={team-a}").stdout
    command = notes[notes.index("kubectl apply") : notes.index("kubectl get prorljobs")]
    path = os.pathsep.join((str(binaries()), os.environ["PATH"]))
    environment = os.environ | {"KUBECONFIG": kubectl.kubeconfig, "PATH": path}
    subprocess.run(["bash", "-euc", command], env=environment, check=True)
    kubectl.must("delete", "prorljob", "quickstart", "-n", "team-a")
