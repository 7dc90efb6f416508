"""The memory and traffic of a job, counted from its spec and its model's shapes. Pure.

Sources of the formulas: docs/plan.md. Legend: N parameters, P prompts per step, S samples per
prompt; V, D, L and so on as in shapes.py. Sizes are bytes.
"""

from prorl_api.job import ProRLJobSpec
from prorl_api.spec_roles import EngineKind

from prorl_cli.arithmetic import Section, count, said, size
from prorl_cli.budget_roles import BF16, FP32, loading, memory_limit, rollout, staging, trainer
from prorl_cli.quantity import parse_quantity
from prorl_cli.shapes import ModelShape

TOKEN_BYTES = 80
"""A response token as Python objects: its id (32 bytes) and its log-prob (24), with a pointer each,
and the pointer to its mask."""
PICKLED_TOKEN_BYTES = 14
"""The same on its way to the learners."""


def plan_sections(spec: ProRLJobSpec, shape: ModelShape, gpu_memory: int) -> list[Section]:
    """The whole budget: model, trainer, rollout, coordinator, checkpoints, traffic."""
    return [
        _model(shape),
        trainer(spec, shape, gpu_memory),
        loading(spec, shape),
        *([staging(spec, shape)] if spec.trainer.gpus_per_replica else []),
        rollout(spec, shape, gpu_memory),
        _coordinator(spec),
        _checkpoints(spec, shape),
        _step(spec, shape),
    ]


def _model(shape: ModelShape) -> Section:
    heads = 1 if shape.tied else 2
    lines = (
        count("embedding and head", f"{heads} x V x D", (heads, shape.vocabulary, shape.hidden)),
        count("layers", "L x layer", (shape.layers, shape.layer_parameters)),
        count("last norm", "D", (shape.hidden,)),
    )
    return Section(title=f"Model ({shape.model_type})", lines=lines)


def _coordinator(spec: ProRLJobSpec) -> Section:
    """Completions are Python objects, and the batch is copied once more on its way to the ranks."""
    a = spec.algorithm
    tokens = a.prompts_per_step * a.samples_per_prompt * a.sampling.max_response_tokens
    lines = (
        size("batch at full length", f"P x S x tokens x {TOKEN_BYTES}", (tokens, TOKEN_BYTES)),
        size(
            "copy for the learners",
            f"P x S x tokens x {PICKLED_TOKEN_BYTES}",
            (tokens, PICKLED_TOKEN_BYTES),
        ),
    )
    return Section(
        title="Coordinator: memory",
        lines=lines,
        limit=memory_limit(spec.coordinator.pod),
        limit_name="coordinator.pod.resources.memory",
        advice="Raise coordinator.pod.resources.memory; shorter responses need less.",
    )


def _checkpoints(spec: ProRLJobSpec, shape: ModelShape) -> Section:
    held = spec.checkpoint.keep + spec.checkpoint.keep_best + 1
    one = FP32 * 4 * shape.parameters
    lines = (
        said(
            "one checkpoint",
            "N x (policy 4 + moments 8 + reference 4)",
            one,
            "bytes",
            f"{shape.parameters:,} x 16",
        ),
        size("kept and being written", "(keep + keepBest + 1) x checkpoint", (held, one)),
    )
    claim = spec.checkpoint.storage.pvc.size
    return Section(
        title="Checkpoints",
        lines=lines,
        limit=None if claim is None else parse_quantity(claim),
        limit_name="checkpoint.storage.pvc.size",
        advice="Raise checkpoint.storage.pvc.size or lower checkpoint.keep.",
    )


def _step(spec: ProRLJobSpec, shape: ModelShape) -> Section:
    a, n, engines = spec.algorithm, shape.parameters, spec.rollout.replicas
    completions = a.prompts_per_step * a.samples_per_prompt
    longest = a.sampling.max_response_tokens
    width = _wire_width(spec)
    lines = (
        said(
            "completions",
            "P x S",
            completions,
            "sequences",
            f"{a.prompts_per_step} x {a.samples_per_prompt}",
        ),
        said(
            "response tokens at most",
            "P x S x longest",
            completions * longest,
            "tokens",
            f"{completions:,} x {longest:,}",
        ),
        said("weights to one engine", f"N x {width}", n * width, "bytes", f"{n:,} x {width}"),
        said(
            "weights to all engines",
            f"N x {width} x engines",
            n * width * engines,
            "bytes",
            f"{n:,} x {width} x {engines}",
        ),
    )
    return Section(title="Every step", lines=lines)


def _wire_width(spec: ProRLJobSpec) -> int:
    """Bytes of a parameter on its way to the engines: as prorl_trainer.rollout.backend has it."""
    on_gpus = spec.rollout.engine is EngineKind.VLLM and spec.rollout.gpus_per_replica
    return BF16 if on_gpus else FP32
