"""The pods of a job. All pass Pod Security `restricted`; nothing a job says can change that."""

from prorl_api import runtime
from prorl_api.job import ProRLJob
from prorl_api.spec_roles import PodSpec, Role

from prorl_operator.build import environment, names
from prorl_operator.build.ledger import ANNOTATION, Ledger
from prorl_operator.build.names import Manifest, Slot
from prorl_operator.build.scheduling import schedule
from prorl_operator.build.secrets import Purpose
from prorl_operator.build.storage import ClaimMount, claim_mounts

USER_ID = 65532
SHM_LIMIT_DEFAULT = "2Gi"
VERIFIER_WORKERS = 2


def build_pod(
    job: ProRLJob, slot: Slot, incarnation: int, *, default_image: str, ledger: Ledger
) -> Manifest:
    """One pod of the job, whose status says what is durable; `ledger` is the tally that it has."""
    name = names.pod_name(job.metadata.name, slot, incarnation)
    metadata = names.owned_metadata(job, name)
    metadata["labels"] |= {
        runtime.LABEL_ROLE: str(slot.role),
        runtime.LABEL_INDEX: str(slot.index),
        runtime.LABEL_INCARNATION: str(incarnation),
    }
    metadata["annotations"] = {ANNOTATION: ledger.dumps()}
    container = _container(job, slot, incarnation, job.spec.image or default_image)
    pod: Manifest = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": _pod_spec(job, slot, container),
    }
    schedule(job, slot, pod)
    return pod


def pod_choices(job: ProRLJob, role: Role) -> PodSpec:
    """What the job chooses for the role's pods."""
    spec = job.spec
    choices = {Role.COORDINATOR: spec.coordinator.pod, Role.TRAINER: spec.trainer.pod}
    choices |= {Role.ROLLOUT: spec.rollout.pod, Role.VERIFIER: spec.verifier.pod}
    return choices[role]


def _pod_spec(job: ProRLJob, slot: Slot, container: Manifest) -> Manifest:
    choices = pod_choices(job, slot.role)
    spec: Manifest = {
        "hostname": slot.host_name,
        "subdomain": job.metadata.name,
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": environment.grace_s(job, slot.role),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER_ID,
            "runAsGroup": USER_ID,
            "fsGroup": USER_ID,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": _volumes(job, slot.role),
    }
    if slot.role is Role.VERIFIER and job.spec.verifier.runtime_class_name is not None:
        spec["runtimeClassName"] = job.spec.verifier.runtime_class_name
    if choices.node_selector:
        spec["nodeSelector"] = dict(choices.node_selector)
    if choices.tolerations:
        spec["tolerations"] = [
            {
                key: value
                for key, value in t.model_dump(by_alias=True).items()
                if value not in ("", None)
            }
            for t in choices.tolerations
        ]
    return spec


def _container(job: ProRLJob, slot: Slot, incarnation: int, image: str) -> Manifest:
    name = names.pod_name(job.metadata.name, slot, incarnation)
    container: Manifest = {
        "name": runtime.CONTAINER_NAME,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": _command(job, slot.role),
        "env": environment.build_env(job, slot, incarnation, name),
        "resources": _resources(job, slot.role),
        "terminationMessagePath": str(runtime.TERMINATION_LOG),
        "terminationMessagePolicy": "File",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": _mounts(job, slot.role),
    }
    return container | _ports_and_probes(slot.role)


def _command(job: ProRLJob, role: Role) -> list[str]:
    if role is not Role.VERIFIER:
        return [*runtime.AGENT_COMMAND, str(role)]
    flags = {
        "--host": "0.0.0.0",
        "--port": runtime.VERIFIER_PORT,
        "--workers": VERIFIER_WORKERS,
        "--code-workers": VERIFIER_WORKERS,
        "--timeout-seconds": job.spec.verifier.timeout_seconds,
        "--minimum-isolation": job.spec.verifier.minimum_isolation,
        "--token-file": runtime.VERIFIER_TOKEN_FILE,
    }
    words = [str(word) for pair in flags.items() for word in pair]
    return [*runtime.VERIFIER_COMMAND, *words, *job.spec.verifier.remote_flags]


def _resources(job: ProRLJob, role: Role) -> Manifest:
    wanted = pod_choices(job, role).resources
    requests: Manifest = {}
    limits: Manifest = {}
    if wanted.cpu is not None:
        requests["cpu"] = wanted.cpu
    if wanted.memory is not None:
        requests["memory"] = limits["memory"] = wanted.memory
    gpus = environment.gpus(job, role)
    if gpus:
        limits[job.spec.gpu_resource_name] = str(gpus)
    parts = {"requests": requests, "limits": limits}
    return {name: part for name, part in parts.items() if part}


def _ports_and_probes(role: Role) -> Manifest:
    ports = {Role.COORDINATOR: runtime.COORDINATOR_PORT, Role.VERIFIER: runtime.VERIFIER_PORT}
    port = ports.get(role, runtime.AGENT_PORT)
    parts: Manifest = {
        "ports": [{"name": "http", "containerPort": port, "protocol": "TCP"}],
        "readinessProbe": _probe("/readyz", port, period_s=5, failures=2),
    }
    if role is Role.VERIFIER:
        # A hung verifier holds no state. Killing a hung Ray pod could cost a step, so the
        # coordinator decides about those.
        parts["livenessProbe"] = _probe("/healthz", port, period_s=20, failures=6)
    return parts


def _probe(path: str, port: int, *, period_s: int, failures: int) -> Manifest:
    return {
        "httpGet": {"path": path, "port": port},
        "periodSeconds": period_s,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }


def _volumes(job: ProRLJob, role: Role) -> list[Manifest]:
    volumes: list[Manifest] = [{"name": "tmp", "emptyDir": {}}]
    volumes.append({"name": "tokens", "secret": _tokens(job, role)})
    if role is Role.VERIFIER:
        return volumes
    limit = pod_choices(job, role).resources.memory or SHM_LIMIT_DEFAULT
    volumes.append({"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": limit}})
    config = names.config_name(job.metadata.name)
    volumes.append({"name": "config", "configMap": {"name": config}})
    return [*volumes, *(_claim_volume(mount) for mount in claim_mounts(job, role))]


def _tokens(job: ProRLJob, role: Role) -> Manifest:
    """Verifiers run what models wrote: they get their own token and no other."""
    purposes = [Purpose.VERIFIER] if role is Role.VERIFIER else list(Purpose)
    return {
        "secretName": names.tokens_name(job.metadata.name),
        "defaultMode": 0o440,
        "items": [{"key": str(p), "path": str(p)} for p in purposes],
    }


def _claim_volume(mount: ClaimMount) -> Manifest:
    claim = {"claimName": mount.claim, "readOnly": mount.read_only}
    return {"name": mount.volume, "persistentVolumeClaim": claim}


def _mounts(job: ProRLJob, role: Role) -> list[Manifest]:
    mounts: list[Manifest] = [
        {"name": "tmp", "mountPath": "/tmp"},
        {"name": "tokens", "mountPath": str(runtime.TOKEN_DIR), "readOnly": True},
    ]
    if role is Role.VERIFIER:
        return mounts
    mounts.append({"name": "shm", "mountPath": "/dev/shm"})
    mounts.append({"name": "config", "mountPath": str(runtime.CONFIG_DIR), "readOnly": True})
    for mount in claim_mounts(job, role):
        entry: Manifest = {"name": mount.volume, "mountPath": str(mount.path)}
        mounts.append(entry | ({"readOnly": True} if mount.read_only else {}))
    return mounts
