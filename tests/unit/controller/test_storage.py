"""The checkpoint claim, and which claims a pod mounts where."""

from typing import Any

import pytest
from controller_builders import LEAST_DATA, make_job
from prorl_api.job import ProRLJob
from prorl_api.spec_roles import Role
from prorl_operator.build.storage import build_claim, claim_mounts


def job_with(*uris: str, model: str = "tiny://llama", validation: tuple[str, ...] = ()) -> ProRLJob:
    def sets(some: tuple[str, ...], prefix: str) -> list[dict[str, Any]]:
        return [
            {"name": f"{prefix}{i}", "domain": "math", "uri": uri} for i, uri in enumerate(some)
        ]

    data: dict[str, Any] = {"train": [LEAST_DATA, *sets(uris, "t")]}
    if validation:
        data["validation"] = {"sets": sets(validation, "v")}
    return make_job(model={"uri": model}, data=data)


def mounts_of(job: ProRLJob, role: Role) -> dict[str, tuple[str, bool]]:
    return {one.claim: (str(one.path), one.read_only) for one in claim_mounts(job, role)}


STORAGE = "/var/lib/prorl/storage"


@pytest.mark.parametrize(
    ("role", "mounts"),
    [
        (Role.COORDINATOR, {"q-checkpoints": (STORAGE, False)}),
        (Role.TRAINER, {"q-checkpoints": (STORAGE, False)}),
        (Role.ROLLOUT, {"q-checkpoints": (STORAGE, True)}),
        (Role.VERIFIER, {}),
    ],
)
def test_who_saves_may_write_and_who_judges_sees_nothing(
    role: Role, mounts: dict[str, tuple[str, bool]]
) -> None:
    assert mounts_of(make_job(), role) == mounts


@pytest.mark.parametrize("role", [Role.COORDINATOR, Role.TRAINER, Role.ROLLOUT])
def test_a_model_on_a_claim_is_mounted_to_be_read(role: Role) -> None:
    mounts = mounts_of(job_with(model="pvc://weights/llama"), role)
    assert mounts["weights"] == ("/var/lib/prorl/model-claim", True)


def test_data_claims_are_mounted_once_each_in_the_coordinator_only() -> None:
    job = job_with("pvc://b/x.jsonl", "pvc://a/y.jsonl", "pvc://b/z.jsonl", "file:///d.jsonl",
                   validation=("pvc://c/v.jsonl",))  # fmt: skip
    found = claim_mounts(job, Role.COORDINATOR)[1:]
    assert [(m.volume, m.claim, str(m.path)) for m in found] == [
        ("data-0", "a", "/var/lib/prorl/data-claims/a"),
        ("data-1", "b", "/var/lib/prorl/data-claims/b"),
        ("data-2", "c", "/var/lib/prorl/data-claims/c"),
    ]
    assert all(mount.read_only for mount in found)
    assert set(mounts_of(job, Role.TRAINER)) == {"q-checkpoints"}


def test_the_claim_that_is_made_outlives_the_job_and_fits_a_later_one() -> None:
    claim = build_claim(make_job())
    assert claim is not None
    assert "ownerReferences" not in claim["metadata"]
    assert claim["metadata"]["labels"] == {
        "app.kubernetes.io/managed-by": "prorl-operator",
        "prorl.dev/job": "q",
    }


def claim_spec(**pvc: Any) -> dict[str, Any] | None:
    claim = build_claim(make_job(checkpoint={"storage": {"pvc": pvc}}))
    return claim["spec"] if claim else None


def test_size_and_class_are_the_jobs() -> None:
    spec = claim_spec(size="7Gi", storageClass="fast")
    assert spec == {
        "accessModes": ["ReadWriteMany"],
        "resources": {"requests": {"storage": "7Gi"}},
        "storageClassName": "fast",
    }
    assert "storageClassName" not in (claim_spec(size="7Gi") or {})


def test_a_claim_that_the_job_brings_is_used_and_not_made() -> None:
    assert claim_spec(claimName="mine") is None
    job = make_job(checkpoint={"storage": {"pvc": {"claimName": "mine"}}})
    assert "mine" in mounts_of(job, Role.TRAINER)


def test_an_export_claim_is_writable_in_the_coordinator_only() -> None:
    job = make_job(export={"uri": "pvc://models/q"})
    assert mounts_of(job, Role.COORDINATOR)["models"] == ("/var/lib/prorl/export-claim", False)
    assert all("models" not in mounts_of(job, role) for role in (Role.TRAINER, Role.ROLLOUT))
    assert "bucket" not in mounts_of(make_job(export={"uri": "s3://bucket/q"}), Role.COORDINATOR)
