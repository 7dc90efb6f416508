"""A real API server gives the verdicts, defaults, columns and scale of the types.

`control_plane` (tests/cluster) is a running API server; its kubeconfig is all that is used.
"""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from admission_cases import CASES, Case
from cluster.control_plane import ControlPlane
from kubectl import Kubectl
from manifests import manifest
from prorl_api.job import ProRLJob
from prorl_api.presets import GOVERNED
from prorl_api.spec_roles import Role
from prorl_api.validate import read_manifest, validate_manifest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def kubectl(control_plane: ControlPlane) -> Kubectl:
    kubectl = Kubectl(control_plane)
    kubectl.must("apply", "--server-side", "-f", str(ROOT / "crds" / "prorl.dev_prorljobs.yaml"))
    kubectl.must("wait", "--for=condition=Established", "crd/prorljobs.prorl.dev", "--timeout=30s")
    return kubectl


@pytest.fixture
def job(kubectl: Kubectl) -> Iterator[dict[str, Any]]:
    document = manifest("admission")
    kubectl.must("create", "-f", "-", text=json.dumps(document))
    yield document
    kubectl.must("delete", "prl", "admission")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_admission_agrees_with_the_offline_verdict(kubectl: Kubectl, case: Case) -> None:
    answer = kubectl("create", "--dry-run=server", "--validate=strict", "-f", "-",
                     text=json.dumps(case.manifest))  # fmt: skip
    offline = validate_manifest(case.manifest)
    assert (answer.returncode == 0) == (offline == []), (answer.stderr, offline)
    if case.refused_at is not None:
        assert case.refused_at in answer.stderr


@pytest.mark.parametrize(
    "case", [c for c in CASES if c.refused_at is None], ids=lambda case: case.id
)
def test_the_server_fills_in_every_default_but_those_of_a_preset(
    kubectl: Kubectl, case: Case
) -> None:
    text = kubectl.must("create", "--dry-run=server", "-o", "json", "-f", "-",
                        text=json.dumps(case.manifest))  # fmt: skip
    job = read_manifest(case.manifest)
    assert isinstance(job, ProRLJob)
    ours = job.spec.model_dump(mode="json", by_alias=True, exclude_none=True)
    assert _compared(json.loads(text)["spec"]) == _compared(ours)


def _compared(spec: dict[str, Any]) -> dict[str, Any]:
    """Without what the preset decides. The server keeps `cpu: 2` as a number; the types make a text
    of it."""
    spec = copy.deepcopy(spec)
    for path in GOVERNED:
        *blocks, name = path.split(".")
        node = spec
        for block in blocks:
            node = node.get(block, {})
        node.pop(name, None)
    for role in ("coordinator", "trainer", "rollout", "verifier"):
        resources = spec[role]["pod"]["resources"]
        spec[role]["pod"]["resources"] = {k: str(v) for k, v in resources.items()}
    return spec


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            {"rollout": {"minReplicas": 3, "replicas": 2}},
            "spec.rollout.minReplicas: Invalid value: 3 is more than spec.rollout.replicas 2",
        ),
        ({"algorithm": {"samplesPerPrompt": 1}}, "1 is less than 2: with the group baseline"),
    ],
    ids=["min-replicas", "samples"],
)
def test_the_refusal_names_field_value_and_limit(
    kubectl: Kubectl, spec: dict[str, Any], message: str
) -> None:
    answer = kubectl("create", "--dry-run=server", "-f", "-", text=json.dumps(manifest(**spec)))
    assert message in answer.stderr.replace('"object": ', "").replace('"integer": ', "")


@pytest.mark.parametrize(
    ("patch", "allowed"),
    [
        ({"rollout": {"replicas": 4}}, True),
        ({"runPolicy": {"maxRestarts": 3}}, True),
        ({"guard": {"klAbove": 1}}, True),
        ({"suspend": True}, True),
        ({"checkpoint": {"requestToken": "2026-11-25T10:00:00Z"}}, True),
        ({"referenceReset": {"requestToken": "a"}}, True),
        ({"referenceReset": {"minGapSteps": 7}}, False),
        ({"checkpoint": {"gracePeriodSeconds": 7}}, False),
        ({"checkpoint": {"keep": 7, "keepBest": 0, "everySteps": 3}}, True),
        ({"algorithm": {"steps": 9000}}, True),
        ({"algorithm": {"learningRate": 0.1}}, False),
        ({"rollout": {"engine": "transformers"}}, False),
        ({"image": "x"}, False),
        ({"failurePolicy": {"rules": [{"action": "Ignore", "onExitCodes": [14]}]}}, True),
        ({"managedBy": "example.com/other"}, False),
        ({"scheduling": {"queueName": "q"}, "suspend": True}, True),
        ({"trainer": {"pod": {"nodeSelector": {"pool": "b"}}}, "suspend": True}, True),
        ({"trainer": {"gpusPerReplica": 1}, "suspend": True}, False),
    ],
    ids=str,
)
def test_only_what_a_run_may_do_without_may_change(
    kubectl: Kubectl, job: dict[str, Any], patch: dict[str, Any], allowed: bool
) -> None:
    text = json.dumps({"spec": patch})
    answer = kubectl("patch", "prl", "admission", "--type=merge", "-p", text)
    assert (answer.returncode == 0) == allowed, answer.stderr
    if not allowed:
        assert "only spec.suspend, spec.rollout.replicas, spec.guard" in answer.stderr


def test_steps_may_only_grow(kubectl: Kubectl, job: dict[str, Any]) -> None:
    text = json.dumps({"spec": {"algorithm": {"steps": 9}}})
    answer = kubectl("patch", "prl", "admission", "--type=merge", "-p", text)
    assert "9 is less than the 2000 before: steps may only grow" in answer.stderr


@pytest.mark.parametrize(
    ("field", "patch"),
    [
        ("scheduling", {"scheduling": {"queueName": "q"}}),
        *((f"{role}.pod", {role: {"pod": {"nodeSelector": {"pool": "b"}}}}) for role in Role),
    ],
)
def test_the_place_of_a_running_job_stays(
    kubectl: Kubectl, job: dict[str, Any], field: str, patch: dict[str, Any]
) -> None:
    text = json.dumps({"spec": patch})
    answer = kubectl("patch", "prl", "admission", "--type=merge", "-p", text)
    assert answer.returncode != 0
    assert f"spec.{field} may change only while spec.suspend is true" in answer.stderr


def test_columns_show_the_status(kubectl: Kubectl, job: dict[str, Any]) -> None:
    status = {
        "phase": "Running",
        "restarts": 2,
        "progress": {"step": 7, "rewardMean": 0.5, "kl": 0.01, "entropy": 1.5},
        "reference": {"version": 3},
        "checkpoint": {"lastStep": 5},
        "roles": {"rollout": {"ready": 1}},
        "conditions": [{"type": "Progressing", "status": "True", "message": "Going on"}],
    }
    kubectl.must("patch", "prl", "admission", "--subresource=status", "--type=merge",
                 "-p", json.dumps({"status": status}))  # fmt: skip
    head, row = kubectl.must("get", "prl", "admission", "-o", "wide").splitlines()
    assert head.split()[:9] == [
        "NAME", "PHASE", "STEP", "REWARD", "REF", "CKPT", "ROLLOUT", "RESTARTS", "AGE",
    ]  # fmt: skip
    assert row.split()[:8] == ["admission", "Running", "7", "0.5", "3", "5", "1", "2"]
    assert row.endswith("Going on")


def test_scale_sets_the_rollout_replicas(kubectl: Kubectl, job: dict[str, Any]) -> None:
    kubectl.must("scale", "prl", "admission", "--replicas=3")
    path = "jsonpath={.spec.rollout.replicas}"
    assert kubectl.must("get", "prl", "admission", "-o", path) == "3"
