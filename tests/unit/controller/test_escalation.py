"""Whoever may write a ProRLJob gains no more than a restricted pod."""

from collections.abc import Iterator

import pytest
from controller_builders import IMAGE
from escalation_cases import ATTEMPTS
from escalation_fields import Attempt
from prorl_api.job import parse_job
from prorl_api.runtime import CREDENTIAL_KEYS, TRACKING_KEYS
from prorl_api.spec_roles import Role
from prorl_api.validate import validate_manifest
from prorl_operator.build.ledger import ANNOTATION, Ledger
from prorl_operator.build.names import Manifest, Slot, labels
from prorl_operator.build.pods import build_pod
from restricted import breaches

ADMITTED = [one for one in ATTEMPTS if one.refused is None]
REFUSED = [one for one in ATTEMPTS if one.refused is not None]
PREFIXES = ("PRORL_", "HF_HUB_", "RAY_", "VLLM_", "TOKENIZERS_", "OMP_", "TORCHDYNAMO_")
HOME = {"HOME", "USER", "LOGNAME", "PYTHONUNBUFFERED"}


def pods_of(attempt: Attempt) -> Iterator[Manifest]:
    """One pod of each role."""
    meta = attempt.manifest["metadata"] | {"namespace": "escalation", "uid": "u"}
    document = {k: v for k, v in attempt.manifest.items() if k != "status"}
    job = parse_job(document | {"metadata": meta})
    for role in Role:
        slot = Slot(role=role, index=0)
        yield build_pod(job, slot, 1, default_image=IMAGE, ledger=Ledger())


def test_there_are_enough_attempts_and_each_has_its_own_name() -> None:
    assert len({one.id for one in ATTEMPTS}) == len(ATTEMPTS) >= 200


@pytest.mark.parametrize("attempt", REFUSED, ids=lambda one: one.id)
def test_the_attempt_is_refused_offline_too(attempt: Attempt) -> None:
    assert validate_manifest(attempt.manifest) != []


@pytest.mark.parametrize("attempt", ADMITTED, ids=lambda one: one.id)
def test_pods_of_an_admitted_attempt_are_restricted_and_have_no_rights(attempt: Attempt) -> None:
    for pod in pods_of(attempt):
        assert breaches(pod) == []
        spec, meta = pod["spec"], pod["metadata"]
        assert spec["automountServiceAccountToken"] is False
        assert not {"serviceAccountName", "nodeName", "priorityClassName"} & spec.keys()
        assert meta["annotations"].keys() == {ANNOTATION}
        assert meta["labels"]["prorl.dev/job"] == "case"
        assert [one["kind"] for one in meta["ownerReferences"]] == ["ProRLJob"]
        assert len(spec["containers"]) == 1


@pytest.mark.parametrize("attempt", ADMITTED, ids=lambda one: one.id)
def test_no_variable_comes_from_the_job_but_those_that_are_allowed(attempt: Attempt) -> None:
    for pod in pods_of(attempt):
        (container,) = pod["spec"]["containers"]
        for entry in container["env"]:
            if "secretKeyRef" in entry.get("valueFrom", {}):
                assert entry["name"] in {*CREDENTIAL_KEYS, *TRACKING_KEYS}
                assert entry["valueFrom"]["secretKeyRef"]["key"] == entry["name"]
            else:
                assert entry["name"] in HOME or entry["name"].startswith(PREFIXES)


def test_a_verifier_gets_no_secret_but_its_token() -> None:
    for attempt in ADMITTED:
        *_, pod = pods_of(attempt)
        assert pod["metadata"]["labels"]["prorl.dev/role"] == "verifier"
        assert "secretKeyRef" not in str(pod)
        assert {v["name"] for v in pod["spec"]["volumes"]} == {"tmp", "tokens"}


def test_labels_of_the_job_are_ours() -> None:
    attempt = next(one for one in ADMITTED if one.id == "labels-of-others")
    meta = attempt.manifest["metadata"] | {"namespace": "escalation", "uid": "u"}
    assert labels(parse_job(attempt.manifest | {"metadata": meta}))["prorl.dev/job"] == "case"
