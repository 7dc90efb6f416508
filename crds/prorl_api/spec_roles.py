"""Who runs it: spec.coordinator, spec.trainer, spec.rollout, spec.verifier."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from prorl_api.base import ApiModel, DnsLabel, Quantity

LABEL_KEY_PATTERN = r"^[A-Za-z0-9]([A-Za-z0-9./_-]*[A-Za-z0-9])?$"
LabelValue = Annotated[
    str, StringConstraints(max_length=63, pattern=r"^([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)?$")
]


class Role(StrEnum):
    """The four roles of a job, as they appear in labels, status and pod names."""

    COORDINATOR = "coordinator"
    TRAINER = "trainer"
    ROLLOUT = "rollout"
    VERIFIER = "verifier"


class EngineKind(StrEnum):
    """What generates completions."""

    VLLM = "vllm"
    TRANSFORMERS = "transformers"
    """Slow and simple, on the same interface: for tests and debugging."""


class IsolationLevel(StrEnum):
    """How strongly model-written programs are confined, weakest first. docs/security.md."""

    NONE = "none"
    """No program is run: completions of the domain code cannot be judged."""
    SECCOMP = "seccomp"
    """Hard limits and an allow-list of system calls."""
    LANDLOCK = "landlock"
    """Also no file can be read but those of the interpreter."""
    NAMESPACES = "namespaces"
    """Also user, PID, network, IPC and UTS namespaces; most clusters forbid them to pods."""


class Resources(ApiModel):
    """CPU and memory of the role's container. GPUs come from gpusPerReplica."""

    cpu: Quantity | None = None
    """CPU request (no limit is set: throttled training is slow training)."""
    memory: Quantity | None = None
    """Memory request and limit."""


class Toleration(ApiModel):
    """A Kubernetes toleration."""

    key: Annotated[str, StringConstraints(max_length=317)] = ""
    operator: Literal["Exists", "Equal"] = "Equal"
    value: LabelValue = ""
    effect: Literal["", "NoSchedule", "PreferNoSchedule", "NoExecute"] = ""
    toleration_seconds: Annotated[int, Field(ge=0, le=86_400)] | None = None


class PodSpec(ApiModel):
    """The part of a role's pod that a job may choose. The operator writes everything else, the
    security context above all, so that a ProRLJob grants no more than a restricted pod."""

    resources: Resources = Resources()
    node_selector: Annotated[dict[str, LabelValue], Field(max_length=32)] = {}
    tolerations: Annotated[list[Toleration], Field(max_length=16)] = []


class CoordinatorSpec(ApiModel):
    """The driver of the RL loop: one CPU pod."""

    pod: PodSpec = PodSpec(resources=Resources(cpu="500m", memory="4Gi"))


class Precision(StrEnum):
    """What the forward and backward passes of the learners compute in."""

    FP32 = "fp32"
    BF16 = "bf16"


class TrainerSpec(ApiModel):
    """The learners: FSDP2 over replicas x max(1, gpusPerReplica) ranks."""

    replicas: Annotated[int, Field(ge=1, le=512)] = 1
    gpus_per_replica: Annotated[int, Field(ge=0, le=16)] = 0
    """GPUs (and ranks) per trainer pod; 0 trains one rank on the CPU."""
    precision: Precision | None = None
    """bf16: computes in bf16; weights, optimizer, gradients, checkpoints, log-probs and loss stay
    fp32. fp32: all in fp32. Absent means bf16 on GPUs and fp32 on the CPU."""
    activation_checkpointing: bool = False
    """Keeps only the input of each decoder layer for the backward pass, which computes the layer
    again: less memory for about a third more time, and the same gradients."""
    pod: PodSpec = PodSpec(resources=Resources(cpu="1", memory="8Gi"))

    @property
    def compute_precision(self) -> Precision:
        """The precision in force."""
        return self.precision or (Precision.BF16 if self.gpus_per_replica else Precision.FP32)


class RolloutSpec(ApiModel):
    """The generation engines. `kubectl scale` changes replicas while the job runs."""

    replicas: Annotated[int, Field(ge=1, le=512)] = 1
    min_replicas: Annotated[int, Field(ge=1, le=512)] = 1
    """Training waits while fewer engines than this are ready."""
    gpus_per_replica: Annotated[int, Field(ge=0, le=1)] = 0
    """GPUs per rollout pod; 0 generates on the CPU."""
    engine: EngineKind = EngineKind.VLLM
    max_staleness: Annotated[int, Field(ge=0, le=1)] = 0
    """Versions that the weights of a token may be behind those that learn from it. 0: generation
    and learning take turns, and a run repeats exactly. 1: while a step is learned from, the next
    one is generated, and its weights are replaced in flight; spec.algorithm.mismatchCorrection
    weighs what that does to the log-probs."""
    verify_weights: bool = False
    """After each update compare the checksums of every tensor in every engine with the learners';
    costs a second gathering of the weights. A difference is repaired by a whole new update, a
    second one ends the run with exit code WeightSync."""
    pod: PodSpec = PodSpec(resources=Resources(cpu="1", memory="8Gi"))


class RemoteVerifier(ApiModel):
    """A verifier that runs elsewhere and is asked by HTTP. docs/verifiers.md has its documents."""

    name: DnsLabel
    """What `verifier` of a data set names; none of the names that every service has."""
    url: Annotated[
        str, StringConstraints(max_length=2048, pattern=r"^https?://[^/?#@\s]+([/?][^#\s]*)?$")
    ]
    """Each completion is a POST to it, from a verifier pod."""


class VerifierSpec(ApiModel):
    """The verification service that judges completions."""

    replicas: Annotated[int, Field(ge=1, le=512)] = 1
    timeout_seconds: Annotated[int, Field(ge=1, le=600)] = 10
    """Limit of one verdict; a completion that takes longer earns nothing. For code it is the time
    of all tests, in which waiting for a processor does not count."""
    minimum_isolation: IsolationLevel = IsolationLevel.SECCOMP
    """The verifier takes the strongest level that its node permits, and ends with exit code 10
    where that is weaker than this."""
    runtime_class_name: DnsLabel | None = None
    """RuntimeClass of the verifier's pods, such as gVisor's or Kata's: another kernel between
    programs and the node. It must exist in the cluster."""
    remotes: Annotated[list[RemoteVerifier], Field(max_length=16)] = []
    """Custom verifiers behind a URL. Others are installed in the image and need no entry here."""
    pod: PodSpec = PodSpec(resources=Resources(cpu="250m", memory="2Gi"))

    @property
    def remote_flags(self) -> list[str]:
        """What `python -m prorl_verifier` is told of the remotes."""
        return [f"--remote={remote.name}={remote.url}" for remote in self.remotes]
