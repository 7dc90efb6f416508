"""The ConfigMap with the resolved job, and the slots that it asks for."""

import json

from controller_builders import UID, make_job
from prorl_api.spec_roles import Role
from prorl_api.wire import JobDocument
from prorl_operator.build.config import build_config, replicas, slots


def text_of(**spec: object) -> str:
    config = build_config(make_job(**spec))
    assert set(config["data"]) == {"job.json"}
    return str(config["data"]["job.json"])


def test_the_coordinator_reads_the_whole_job_with_its_defaults() -> None:
    document = JobDocument.model_validate_json(text_of(algorithm={"steps": 40}))
    assert (document.name, document.namespace, document.uid) == ("q", "team", UID)
    assert document.spec.algorithm.steps == 40
    assert document.spec.checkpoint.keep == 2
    assert len(document.hash) == 64


def test_the_same_job_is_the_same_text() -> None:
    text = text_of()
    assert text == text_of()
    canonical = json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))
    assert text == canonical


def test_the_hash_changes_with_what_is_trained_and_not_with_what_may_change() -> None:
    def hash_of(**spec: object) -> str:
        return JobDocument.model_validate_json(text_of(**spec)).hash

    assert hash_of() == hash_of(rollout={"replicas": 9}, runPolicy={"maxRestarts": 1})
    assert hash_of() != hash_of(algorithm={"seed": 1})
    assert hash_of() != hash_of(rollout={"minReplicas": 2, "replicas": 2})


def test_the_coordinators_slot_comes_first_and_every_replica_has_one() -> None:
    spec = make_job(trainer={"replicas": 2}, rollout={"replicas": 3}, verifier={"replicas": 2}).spec
    assert [slot.host_name for slot in slots(spec)] == [
        "coordinator-0", "trainer-0", "trainer-1",
        "rollout-0", "rollout-1", "rollout-2", "verifier-0", "verifier-1",
    ]  # fmt: skip
    assert {role: replicas(spec, role) for role in Role} == {
        Role.COORDINATOR: 1, Role.TRAINER: 2, Role.ROLLOUT: 3, Role.VERIFIER: 2,
    }  # fmt: skip
