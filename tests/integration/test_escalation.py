"""The attempts of escalation_cases against a real API server that enforces Pod Security."""

import json
import urllib.error
from collections.abc import Iterator

import pytest
from cluster.control_plane import ControlPlane
from controller_builders import IMAGE
from controller_cluster import JOBS, Api, make_namespace
from escalation_cases import ATTEMPTS
from escalation_fields import Attempt, unknown_fields
from prorl_api.job import parse_job
from prorl_api.spec_roles import Role
from prorl_operator.build.ledger import Ledger
from prorl_operator.build.names import Manifest, Slot
from prorl_operator.build.pods import build_pod

SPACE = "escalation"
ENFORCE = {"pod-security.kubernetes.io/enforce": "restricted"}


@pytest.fixture(scope="module")
def api(control_plane: ControlPlane) -> Iterator[Api]:
    api = Api(plane=control_plane)
    make_namespace(api, SPACE, **ENFORCE)
    kernel = {"metadata": {"name": "gvisor"}, "handler": "runsc"}
    api.request("POST", "/apis/node.k8s.io/v1/runtimeclasses", kernel)
    yield api
    api.request("DELETE", "/apis/node.k8s.io/v1/runtimeclasses/gvisor")
    api.request("DELETE", f"/api/v1/namespaces/{SPACE}")


def _submit(api: Api, manifest: Manifest, validation: str = "Strict") -> Manifest:
    path = f"{JOBS.format(SPACE)}?dryRun=All&fieldValidation={validation}"
    return api.request("POST", path, manifest)


@pytest.mark.parametrize("attempt", ATTEMPTS, ids=lambda one: one.id)
def test_the_attempt_is_refused_or_its_pods_are_restricted(api: Api, attempt: Attempt) -> None:
    if attempt.refused is None:
        job = parse_job(_submit(api, attempt.manifest))
        for role in Role:
            slot = Slot(role=role, index=0)
            pod = build_pod(job, slot, 1, default_image=IMAGE, ledger=Ledger())
            api.request("POST", f"/api/v1/namespaces/{SPACE}/pods?dryRun=All", pod)
        return
    with pytest.raises(urllib.error.HTTPError) as caught:
        _submit(api, attempt.manifest)
    assert attempt.refused in caught.value.msg


def test_without_strictness_unknown_fields_are_dropped(api: Api) -> None:
    """As clients may choose, older ones above all."""
    plain: dict[str, Manifest] = {}
    for attempt in unknown_fields():
        text = json.dumps(attempt.without)
        if text not in plain:
            plain[text] = _submit(api, json.loads(text))["spec"]
        assert _submit(api, attempt.manifest, "Ignore")["spec"] == plain[text], attempt.id


def test_pod_security_is_in_force_here(api: Api) -> None:
    pod = {"metadata": {"name": "x"}, "spec": {"containers": [{"name": "x", "image": "x"}]}}
    with pytest.raises(urllib.error.HTTPError, match="403"):
        api.request("POST", f"/api/v1/namespaces/{SPACE}/pods?dryRun=All", pod)
