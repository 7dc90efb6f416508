"""What operator and trainer image agree on: commands, environment, paths, ports, labels."""

from enum import StrEnum
from pathlib import PurePosixPath


class Env(StrEnum):
    """Environment variables that the operator sets in every pod of a job."""

    JOB_NAME = "PRORL_JOB_NAME"
    JOB_UID = "PRORL_JOB_UID"
    NAMESPACE = "PRORL_NAMESPACE"
    ROLE = "PRORL_ROLE"
    INDEX = "PRORL_INDEX"
    """Index of the pod within its role, from 0."""
    ATTEMPT = "PRORL_ATTEMPT"
    """Coordinator only: the incarnation number that fences checkpoint writers."""
    DURABLE_STEP = "PRORL_DURABLE_STEP"
    """Coordinator only: step of the last checkpoint that status knows; unset before the first."""
    POD_NAME = "PRORL_POD_NAME"
    POD_IP = "PRORL_POD_IP"
    COORDINATOR_HOST = "PRORL_COORDINATOR_HOST"
    """DNS name of the coordinator's pod (headless Service)."""
    VERIFIER_URL = "PRORL_VERIFIER_URL"
    """Base URL of the verifier's Service, e.g. http://NAME-verifier.NAMESPACE.svc:8000."""
    NUM_GPUS = "PRORL_NUM_GPUS"
    """GPUs of this pod; 0 on CPU."""
    GRACE_SECONDS = "PRORL_GRACE_SECONDS"
    """Seconds between SIGTERM and SIGKILL of this pod."""


CREDENTIAL_KEYS = (
    "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION",
    "AWS_ENDPOINT_URL", "HF_TOKEN", "HF_ENDPOINT",
)  # fmt: skip
"""Keys of a credentials Secret that become environment variables; others would let a Secret decide
what the pod runs (PYTHONPATH, LD_PRELOAD)."""
BUCKET_KEYS = tuple(key for key in CREDENTIAL_KEYS if key.startswith("AWS_"))
"""Those that trainers get too, where checkpoints go to a bucket."""
TRACKING_KEYS = (
    "WANDB_API_KEY", "MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_USERNAME",
    "MLFLOW_TRACKING_PASSWORD",
)  # fmt: skip
"""Keys of tracking.credentialsSecret that become environment variables."""

CONFIG_DIR = PurePosixPath("/etc/prorl/config")
JOB_FILE = CONFIG_DIR / "job.json"
"""wire.JobDocument as canonical JSON, from the job's ConfigMap."""
TOKEN_DIR = PurePosixPath("/etc/prorl/tokens")
API_TOKEN_FILE = TOKEN_DIR / "api"
RAY_TOKEN_FILE = TOKEN_DIR / "ray"
VERIFIER_TOKEN_FILE = TOKEN_DIR / "verifier"
STORAGE_DIR = PurePosixPath("/var/lib/prorl/storage")
"""The checkpoint claim: read-write for coordinator and trainer, read-only for rollout. A job
writes only below STORAGE_DIR/NAME: checkpoints/, model/ (the materialised initial model), data/
(downloaded data sets), metrics.jsonl, tensorboard/."""
MODEL_CLAIM_DIR = PurePosixPath("/var/lib/prorl/model-claim")
"""Where the claim of a pvc:// model is mounted, read-only."""
DATA_CLAIM_DIR = PurePosixPath("/var/lib/prorl/data-claims")
"""Claims of pvc:// datasets are mounted read-only at DATA_CLAIM_DIR/CLAIM in the coordinator."""
EXPORT_CLAIM_DIR = PurePosixPath("/var/lib/prorl/export-claim")
"""Where the claim of a pvc:// export is mounted in the coordinator, read-write."""
TERMINATION_LOG = PurePosixPath("/dev/termination-log")
"""wire.TerminationMessage as JSON; read by the operator after the container has ended."""

COORDINATOR_PORT = 8080
"""HTTP API and metrics of the coordinator."""
VERIFIER_PORT = 8000
AGENT_PORT = 8081
"""/healthz and /readyz of the agents in trainer and rollout pods."""
RENDEZVOUS_PORT = 29500
"""torch.distributed of the learners, on rank 0's pod."""
WEIGHTS_PORT = 29600
"""First weight-transfer port on rank 0's pod (one per engine generation, 100 in all)."""

RAY_GCS_PORT = 6379
RAY_PORTS: dict[str, int] = {
    "--node-manager-port": 7001,
    "--object-manager-port": 7002,
    "--runtime-env-agent-port": 7003,
    "--dashboard-agent-grpc-port": 7004,
    "--dashboard-agent-listen-port": 7005,
    "--metrics-export-port": 7006,
    "--min-worker-port": 7100,
    "--max-worker-port": 7199,
}
"""Fixed in every pod so that NetworkPolicies can name them; one pod has one address."""

RAY_TRAINER_RESOURCE = "prorl_trainer"
"""Ray custom resource: one unit per learner rank that a node can hold."""
RAY_ROLLOUT_RESOURCE = "prorl_rollout"
"""Ray custom resource: one unit per engine that a node can hold."""

AGENT_COMMAND = ("python", "-m", "prorl_trainer.agent")
"""Followed by the role: coordinator, trainer or rollout. PID 1 of every Ray pod."""
VERIFIER_COMMAND = ("python", "-m", "prorl_verifier")

CONTAINER_NAME = "main"
LABEL_MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGED_BY = "prorl-operator"
LABEL_JOB = "prorl.dev/job"
LABEL_ROLE = "prorl.dev/role"
LABEL_INDEX = "prorl.dev/index"
LABEL_INCARNATION = "prorl.dev/incarnation"
LABEL_JOB_UID = "prorl.dev/job-uid"
