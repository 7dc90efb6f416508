"""What one engine needs to start; no torch, ray or vllm here."""

from dataclasses import dataclass

from prorl_api.spec_roles import EngineKind

from prorl_trainer.rollout.backend import Backend


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineSettings:
    """The same for all engines of a job."""

    kind: EngineKind
    model_dir: str
    max_model_len: int
    """Prompt and response tokens of one sequence at most."""
    num_gpus: int
    """0 or 1."""
    max_concurrent_sequences: int
    seed: int
    backend: Backend = Backend.GLOO
    """How weights arrive."""
