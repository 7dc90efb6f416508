"""What the GPUs of a job must hold: learner ranks and engines. Pure.

Sources of the formulas: docs/plan.md. Legend: N parameters, R learner ranks, T packed tokens of a
microbatch, M response tokens in it; V, D, L and so on as in shapes.py. Sizes are bytes.
"""

from dataclasses import replace

from prorl_api.job import ProRLJobSpec
from prorl_api.spec_roles import PodSpec, Precision

from prorl_cli.arithmetic import Line, Section, said, size
from prorl_cli.quantity import parse_quantity
from prorl_cli.shapes import ModelShape

FP32, BF16 = 4, 2
LOGPROB_CHUNK = 256
"""Rows of logits that exist at once (prorl_trainer.learn.policy)."""
TRAINER_USABLE = 0.9
"""The rest of a GPU is left to CUDA's context, NCCL's buffers and fragmentation: ours."""
ENGINE_USABLE = 0.92
"""vLLM's default gpu_memory_utilization."""
ENGINE_RESERVE = 4 * 2**30
"""Of that, for an engine's activations, CUDA graphs and sampler: ours; vLLM measures its own."""
CACHE_BLOCK = 16
"""Tokens per block of vLLM's cache."""
MAX_SEQUENCES = 256
"""Completions that one engine draws at once (prorl_trainer.start)."""


def trainer(spec: ProRLJobSpec, shape: ModelShape, gpu_memory: int) -> Section:
    """One rank at its peak, the backward pass of a full microbatch."""
    n, ranks, t = shape.parameters, spec.world_size, packed_tokens(spec)
    width = BF16 if spec.trainer.compute_precision is Precision.BF16 else FP32
    checkpointing = spec.trainer.activation_checkpointing
    lines = [
        size("weights, fp32", "N x 4 / R", (n, FP32), ranks),
        size("gradients, fp32", "N x 4 / R", (n, FP32), ranks),
        size("Adam moments, fp32", "2 x N x 4 / R", (2, n, FP32), ranks),
        size("reference, fp32", "N x 4 / R", (n, FP32), ranks),
        *_gathered(shape, ranks, width),
        *_activations(shape, t, width, checkpointing=checkpointing),
        *_logprobs(shape, t),
    ]
    gpus = spec.trainer.gpus_per_replica
    if not gpus:
        lines.append(_staged(shape, 1, ranks))
    limit, name = _limit(gpus, gpu_memory, TRAINER_USABLE, spec.trainer.pod)
    where = f"{ranks} ranks, per GPU" if gpus else f"{ranks} ranks on CPUs, per pod"
    return Section(
        title=f"Trainer: {where}",
        lines=tuple(lines),
        limit=limit,
        limit_name=name,
        advice="Set trainer.activationCheckpointing, lower algorithm.tokensPerMicrobatch (at least "
        "maxPromptTokens + maxResponseTokens, a whole sequence) or add ranks.",
    )


def _gathered(shape: ModelShape, ranks: int, width: int) -> list[Line]:
    """FSDP2 holds the root and two layers whole (the next one is fetched ahead), and in the
    backward pass the whole gradients of the root and of one layer, which it adds up in fp32."""
    if ranks == 1 and width == FP32:
        return []
    root, layer = shape.root_parameters, shape.layer_parameters
    return [
        Line(
            name=f"gathered by FSDP, {_dtype(width)}",
            formula=f"(root + 2 x layer) x {width} + (root + layer) x 4",
            numbers=f"({root:,} + 2 x {layer:,}) x {width} + ({root:,} + {layer:,}) x 4",
            value=width * (root + 2 * layer) + FP32 * (root + layer),
        )
    ]


def _activations(shape: ModelShape, t: int, width: int, *, checkpointing: bool) -> list[Line]:
    per_token, dtype = shape.saved_bytes_per_token(width), _dtype(width)
    whole = size(f"activations, {dtype}", "T x saved x L", (t, per_token, shape.layers))
    again = Line(
        name=f"activations, checkpointed, {dtype}",
        formula=f"T x ({width} x D x L + saved)",
        numbers=f"{t:,} x ({width} x {shape.hidden:,} x {shape.layers} + {per_token:,})",
        value=t * (width * shape.hidden * shape.layers + per_token),
    )
    used, other = (again, whole) if checkpointing else (whole, again)
    return [used, replace(other, name=f"  ({other.name})", counted=False)]


def _logprobs(shape: ModelShape, t: int) -> list[Line]:
    return [
        size(
            "log-prob chunk, fp32",
            "2 x chunk x V x 4",
            (2, LOGPROB_CHUNK, shape.vocabulary, FP32),
        ),
        size("hidden states and their gradient", "2 x M x D x 4", (2, t, shape.hidden, FP32)),
        size(
            "head in fp32 and its gradient",
            "2 x V x D x 4",
            (2, shape.vocabulary, shape.hidden, FP32),
        ),
    ]


def loading(spec: ProRLJobSpec, shape: ModelShape) -> Section:
    """Every rank reads the whole model before it is sharded."""
    ranks = max(1, spec.trainer.gpus_per_replica)
    return Section(
        title="Trainer: memory of a pod while the model is loaded",
        lines=(size("weights, fp32", "ranks of a pod x N x 4", (ranks, shape.parameters, FP32)),),
        limit=memory_limit(spec.trainer.pod),
        limit_name="trainer.pod.resources.memory",
        advice="Raise trainer.pod.resources.memory.",
    )


def staging(spec: ProRLJobSpec, shape: ModelShape) -> Section:
    """What every rank keeps on the host to write checkpoints from, while it trains on a GPU."""
    ranks_of_pod = spec.trainer.gpus_per_replica
    return Section(
        title="Trainer: memory of a pod while it trains",
        lines=(_staged(shape, ranks_of_pod, spec.world_size),),
        limit=memory_limit(spec.trainer.pod),
        limit_name="trainer.pod.resources.memory",
        advice="Raise trainer.pod.resources.memory or add ranks.",
    )


def _staged(shape: ModelShape, ranks_of_pod: int, ranks: int) -> Line:
    """Policy, both moments and reference, once more."""
    factors = (ranks_of_pod, 4, shape.parameters, FP32)
    return size("staged checkpoint, fp32", "ranks of a pod x 4 x N x 4 / R", factors, ranks)


def rollout(spec: ProRLJobSpec, shape: ModelShape, gpu_memory: int) -> Section:
    """One engine."""
    gpus = spec.rollout.gpus_per_replica
    width = BF16 if gpus else FP32
    longest = sequence_tokens(spec)
    limit, name = _limit(gpus, gpu_memory, ENGINE_USABLE, spec.rollout.pod)
    weights = size(f"weights, {_dtype(width)}", f"N x {width}", (shape.parameters, width))
    per_token = shape.cache_bytes_per_token(width)
    reserve = Line(name="reserve", formula="ours", numbers="4 GiB", value=ENGINE_RESERVE)
    one = size("cache of one longest sequence", "tokens x cache", (longest, per_token))
    room = (limit or 0) - weights.value - ENGINE_RESERVE
    tokens = max(0, room // per_token // CACHE_BLOCK * CACHE_BLOCK)
    lines = (
        weights,
        reserve,
        one,
        said(
            "cache per token",
            f"2 x L x K x {width}",
            per_token,
            "bytes",
            f"2 x {shape.layers} x {shape.key_value_width} x {width}",
        ),
        said("tokens that fit", "(limit - weights - reserve) / cache", tokens, "tokens"),
        said(
            "longest sequences at once",
            f"tokens / {longest:,}, at most {MAX_SEQUENCES}",
            min(MAX_SEQUENCES, tokens // longest),
            "sequences",
        ),
    )
    kind = "GPU" if gpus else "pod"
    return Section(
        title=f"Rollout: {spec.rollout.replicas} engines, per {kind}",
        lines=lines,
        limit=limit,
        limit_name=name,
        advice="Lower maxResponseTokens or give the engines more memory.",
    )


def packed_tokens(spec: ProRLJobSpec) -> int:
    """T: a sequence over the budget gets a microbatch of its own."""
    return max(spec.algorithm.tokens_per_microbatch, sequence_tokens(spec))


def sequence_tokens(spec: ProRLJobSpec) -> int:
    """Longest prompt and response."""
    sampling = spec.algorithm.sampling
    return sampling.max_prompt_tokens + sampling.max_response_tokens


def _limit(gpus: int, gpu_memory: int, usable: float, pod: PodSpec) -> tuple[int | None, str]:
    if gpus:
        return int(usable * gpu_memory), f"{usable} x GPU memory"
    return memory_limit(pod), "pod.resources.memory"


def memory_limit(pod: PodSpec) -> int | None:
    """What a pod may use; None: as much as its node has."""
    return None if pod.resources.memory is None else parse_quantity(pod.resources.memory)


def _dtype(width: int) -> str:
    return "bf16" if width == BF16 else "fp32"
