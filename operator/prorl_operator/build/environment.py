"""Environment variables of the pods."""

from collections.abc import Sequence

from prorl_api.job import ProRLJob
from prorl_api.runtime import BUCKET_KEYS, CREDENTIAL_KEYS, TRACKING_KEYS, Env
from prorl_api.spec_roles import EngineKind, Role

from prorl_operator.build import names
from prorl_operator.build.names import Manifest, Slot

DEFAULT_GRACE_S = 30


def gpus(job: ProRLJob, role: Role) -> int:
    """GPUs of one pod of the role."""
    spec = job.spec
    per_role = {Role.TRAINER: spec.trainer.gpus_per_replica}
    per_role[Role.ROLLOUT] = spec.rollout.gpus_per_replica
    return per_role.get(role, 0)


def grace_s(job: ProRLJob, role: Role) -> int:
    """Seconds between SIGTERM and SIGKILL: pods that save get the time to do so."""
    saves = role in (Role.COORDINATOR, Role.TRAINER)
    return job.spec.checkpoint.grace_period_seconds if saves else DEFAULT_GRACE_S


def build_env(job: ProRLJob, slot: Slot, incarnation: int, pod_name: str) -> list[Manifest]:
    """Sorted by name, so that the manifest is stable."""
    values = _contract(job, slot, pod_name) | _home()
    if slot.role is Role.COORDINATOR:
        values |= {Env.ATTEMPT: str(incarnation)} | _durable(job)
    if slot.role is not Role.VERIFIER:
        values |= _libraries(job, slot.role)
    env: list[Manifest] = [{"name": str(k), "value": v} for k, v in values.items()]
    field = {"fieldRef": {"apiVersion": "v1", "fieldPath": "status.podIP"}}
    env.append({"name": str(Env.POD_IP), "valueFrom": field})
    if slot.role is Role.COORDINATOR:
        env += _credentials(job.spec.data.credentials_secret, CREDENTIAL_KEYS)
        env += _credentials(job.spec.tracking.credentials_secret, TRACKING_KEYS)
    if slot.role is Role.TRAINER and job.spec.checkpoint.storage.uri is not None:
        env += _credentials(job.spec.data.credentials_secret, BUCKET_KEYS)
    return sorted(env, key=lambda entry: str(entry["name"]))


def _durable(job: ProRLJob) -> dict[str, str]:
    """A storage that has lost all must not look like one that never had anything."""
    checkpoint = job.status.checkpoint if job.status else None
    return {} if checkpoint is None else {Env.DURABLE_STEP: str(checkpoint.last_step)}


def _credentials(secret: str | None, keys: Sequence[str]) -> list[Manifest]:
    """Every key is optional: which of them is needed, the coordinator says."""
    if secret is None:
        return []
    return [
        {"name": key, "valueFrom": {"secretKeyRef": {"name": secret, "key": key, "optional": True}}}
        for key in keys
    ]


def _contract(job: ProRLJob, slot: Slot, pod_name: str) -> dict[str, str]:
    meta = job.metadata
    return {
        Env.JOB_NAME: meta.name,
        Env.JOB_UID: meta.uid,
        Env.NAMESPACE: meta.namespace,
        Env.ROLE: str(slot.role),
        Env.INDEX: str(slot.index),
        Env.POD_NAME: pod_name,
        Env.COORDINATOR_HOST: names.coordinator_host(job),
        Env.VERIFIER_URL: names.verifier_url(job),
        Env.NUM_GPUS: str(gpus(job, slot.role)),
        Env.GRACE_SECONDS: str(grace_s(job, slot.role)),
    }


def _home() -> dict[str, str]:
    """The user has no entry in the image's passwd and the root file system is read-only."""
    return {"HOME": "/tmp", "USER": "prorl", "LOGNAME": "prorl", "PYTHONUNBUFFERED": "1"}


def _needs_hub(job: ProRLJob, role: Role) -> bool:
    data = job.spec.data
    sets = [*data.train, *(data.validation.sets if data.validation else [])]
    has_data = any(one.uri.startswith("hf://") for one in sets)
    trackio = job.spec.tracking.trackio
    tracks = trackio is not None and trackio.space is not None
    mine = role is Role.COORDINATOR and (has_data or tracks)
    return job.spec.model.uri.startswith("hf://") or mine


def _libraries(job: ProRLJob, role: Role) -> dict[str, str]:
    values = {
        "RAY_AUTH_MODE": "token",
        "RAY_USAGE_STATS_ENABLED": "0",
        "TOKENIZERS_PARALLELISM": "false",
        "VLLM_NO_USAGE_STATS": "1",
    }
    if not _needs_hub(job, role):
        values["HF_HUB_OFFLINE"] = "1"
    if gpus(job, role) == 0:
        # TorchDynamo would compile with g++, which a runtime image does not have.
        values |= {"OMP_NUM_THREADS": "1", "TORCHDYNAMO_DISABLE": "1"}
    if role is Role.ROLLOUT and job.spec.rollout.engine is EngineKind.VLLM and not gpus(job, role):
        values |= {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
    return values
