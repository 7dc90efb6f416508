"""The environment of the pods: the contract with the trainer image, role by role."""

import pytest
from controller_builders import (
    COORDINATOR,
    EVERY_SLOT,
    LEAST_DATA,
    ROLLOUT,
    TRAINER,
    UID,
    VERIFIER,
    make_checkpoint,
    make_job,
    make_status,
)
from prorl_api.job import ProRLJob
from prorl_api.runtime import BUCKET_KEYS, CREDENTIAL_KEYS, TRACKING_KEYS, Env
from prorl_api.spec_roles import Role
from prorl_operator.build.environment import build_env, grace_s
from prorl_operator.build.names import Slot

GPU = make_job(
    model={"uri": "hf://meta/llama"},
    trainer={"gpusPerReplica": 2},
    rollout={"gpusPerReplica": 1},
    checkpoint={"gracePeriodSeconds": 77},
)
CPU = make_job()


def env_of(slot: Slot, job: ProRLJob = GPU, incarnation: int = 3) -> dict[str, str]:
    entries = build_env(job, slot, incarnation, f"q-{slot.host_name}-{incarnation}")
    return {entry["name"]: entry.get("value", "") for entry in entries}


@pytest.mark.parametrize("slot", EVERY_SLOT, ids=lambda slot: slot.role)
def test_every_variable_of_the_contract_is_set(slot: Slot) -> None:
    of_coordinator = {Env.ATTEMPT, Env.DURABLE_STEP}
    wanted = set(Env) - ({Env.DURABLE_STEP} if slot == COORDINATOR else of_coordinator)
    assert {str(name) for name in wanted} <= set(env_of(slot))


def test_a_pod_is_told_who_it_is_and_whom_to_ask() -> None:
    env = env_of(Slot(role=Role.TRAINER, index=4))
    assert env[Env.JOB_NAME] == "q"
    assert env[Env.JOB_UID] == UID
    assert env[Env.NAMESPACE] == "team"
    assert (env[Env.ROLE], env[Env.INDEX]) == ("trainer", "4")
    assert env[Env.POD_NAME] == "q-trainer-4-3"
    assert env[Env.COORDINATOR_HOST] == "coordinator-0.q.team.svc"
    assert env[Env.VERIFIER_URL] == "http://q-verifier.team.svc:8000"


def test_the_attempt_is_the_coordinators_incarnation_and_nobody_elses() -> None:
    assert env_of(COORDINATOR, incarnation=7)[Env.ATTEMPT] == "7"
    assert not [slot for slot in EVERY_SLOT[1:] if Env.ATTEMPT in env_of(slot)]


def test_the_coordinator_is_told_of_the_last_checkpoint_and_nobody_else() -> None:
    job = CPU.model_copy(update={"status": make_status(checkpoint=make_checkpoint(40))})
    assert env_of(COORDINATOR, job)[Env.DURABLE_STEP] == "40"
    assert not [slot for slot in EVERY_SLOT[1:] if Env.DURABLE_STEP in env_of(slot, job)]
    assert Env.DURABLE_STEP not in env_of(COORDINATOR, CPU)


@pytest.mark.parametrize(
    ("slot", "gpus", "seconds"),
    [(COORDINATOR, 0, 77), (TRAINER, 2, 77), (ROLLOUT, 1, 30), (VERIFIER, 0, 30)],
    ids=[slot.role for slot in EVERY_SLOT],
)
def test_gpus_and_grace_are_the_roles_own(slot: Slot, gpus: int, seconds: int) -> None:
    env = env_of(slot)
    assert env[Env.NUM_GPUS] == str(gpus)
    assert env[Env.GRACE_SECONDS] == str(grace_s(GPU, slot.role)) == str(seconds)


def test_the_pods_address_is_only_known_once_it_has_one() -> None:
    (entry,) = [e for e in build_env(GPU, TRAINER, 1, "p") if e["name"] == Env.POD_IP]
    assert entry["valueFrom"]["fieldRef"]["fieldPath"] == "status.podIP"


@pytest.mark.parametrize("slot", EVERY_SLOT, ids=lambda slot: slot.role)
def test_names_are_sorted_and_unique(slot: Slot) -> None:
    names = [entry["name"] for entry in build_env(CPU, slot, 1, "p")]
    assert names == sorted(set(names))


def test_only_a_model_of_the_hub_is_fetched_from_it() -> None:
    assert env_of(TRAINER, CPU)["HF_HUB_OFFLINE"] == "1"
    assert "HF_HUB_OFFLINE" not in env_of(TRAINER, GPU)


@pytest.mark.parametrize(
    ("slot", "job", "names"),
    [
        (TRAINER, CPU, {"OMP_NUM_THREADS", "TORCHDYNAMO_DISABLE"}),
        (TRAINER, GPU, set()),
        (COORDINATOR, GPU, {"OMP_NUM_THREADS", "TORCHDYNAMO_DISABLE"}),
        (ROLLOUT, CPU, {"OMP_NUM_THREADS", "TORCHDYNAMO_DISABLE", "VLLM_CPU_KVCACHE_SPACE"}),
        (ROLLOUT, GPU, set()),
        (ROLLOUT, make_job(rollout={"engine": "transformers"}),
         {"OMP_NUM_THREADS", "TORCHDYNAMO_DISABLE"}),
    ],
    ids=["cpu trainer", "gpu trainer", "coordinator", "cpu vllm", "gpu vllm", "transformers"],
)  # fmt: skip
def test_cpu_settings_reach_cpu_pods_only(slot: Slot, job: ProRLJob, names: set[str]) -> None:
    known = {"OMP_NUM_THREADS", "TORCHDYNAMO_DISABLE", "VLLM_CPU_KVCACHE_SPACE"}
    assert known & set(env_of(slot, job)) == names


def test_ray_pods_authenticate_and_a_verifier_is_no_ray_pod() -> None:
    assert env_of(ROLLOUT)["RAY_AUTH_MODE"] == "token"
    assert not [name for name in env_of(VERIFIER) if name.startswith(("RAY", "VLLM", "HF"))]


@pytest.mark.parametrize("slot", EVERY_SLOT, ids=lambda slot: slot.role)
def test_a_user_without_a_name_has_a_home_that_can_be_written(slot: Slot) -> None:
    assert env_of(slot)["HOME"] == "/tmp"


def test_keys_of_the_secret_are_the_coordinators_and_no_others_are_let_in() -> None:
    job = make_job(data={"train": [LEAST_DATA], "credentialsSecret": "keys"})
    entries = {e["name"]: e for e in build_env(job, COORDINATOR, 1, "p")}
    for key in CREDENTIAL_KEYS:
        reference = entries[key]["valueFrom"]["secretKeyRef"]
        assert reference == {"name": "keys", "key": key, "optional": True}
    from_secrets = {name for name, e in entries.items() if "secretKeyRef" in e.get("valueFrom", {})}
    assert from_secrets == set(CREDENTIAL_KEYS)
    for slot in (TRAINER, ROLLOUT, VERIFIER):
        assert not {e["name"] for e in build_env(job, slot, 1, "p")} & set(CREDENTIAL_KEYS)


def test_only_the_coordinator_asks_the_hub_for_data() -> None:
    rows = {"name": "a", "domain": "math", "uri": "hf://datasets/o/n/x.jsonl", "revision": "a" * 40}
    job = make_job(data={"train": [rows]})
    assert "HF_HUB_OFFLINE" not in env_of(COORDINATOR, job)
    assert env_of(TRAINER, job)["HF_HUB_OFFLINE"] == env_of(ROLLOUT, job)["HF_HUB_OFFLINE"] == "1"
    assert env_of(COORDINATOR, CPU)["HF_HUB_OFFLINE"] == "1"


def test_both_secrets_of_a_job_give_every_variable_once() -> None:
    job = make_job(
        data={"train": [LEAST_DATA], "credentialsSecret": "keys"},
        tracking={"wandb": {"project": "p"}, "credentialsSecret": "trackers"},
    )
    entries = build_env(job, COORDINATOR, 1, "p")
    names = [e["name"] for e in entries]
    assert len(set(names)) == len(names)
    secrets = {e["name"]: e["valueFrom"]["secretKeyRef"]["name"] for e in entries
               if "secretKeyRef" in e.get("valueFrom", {})}  # fmt: skip
    wanted = dict.fromkeys(CREDENTIAL_KEYS, "keys") | dict.fromkeys(TRACKING_KEYS, "trackers")
    assert secrets == wanted
    assert not {e["name"] for e in build_env(job, TRAINER, 1, "p")} & set(TRACKING_KEYS)


def test_a_trackio_space_is_reached_through_the_hub() -> None:
    job = make_job(tracking={"trackio": {"project": "p", "space": "o/n"}})
    assert "HF_HUB_OFFLINE" not in env_of(COORDINATOR, job)
    assert env_of(TRAINER, job)["HF_HUB_OFFLINE"] == "1"


def test_trainers_get_the_keys_of_a_bucket_that_checkpoints_go_to_and_no_others() -> None:
    data = {"train": [LEAST_DATA], "credentialsSecret": "keys"}
    bucket = make_job(data=data, checkpoint={"storage": {"uri": "s3://runs/team"}})
    assert set(BUCKET_KEYS) <= set(env_of(TRAINER, bucket))
    assert "HF_TOKEN" not in env_of(TRAINER, bucket)
    assert not set(BUCKET_KEYS) & set(env_of(TRAINER, make_job(data=data)))
    for slot in (ROLLOUT, VERIFIER):
        assert not set(BUCKET_KEYS) & set(env_of(slot, bucket))
