"""The records that flow through a step; protocols.py has what is at its edges.

prompt -> completions -> verdicts -> group -> kept groups -> batch -> gradients -> weights.
A completion is an episode: tokens with a mask that says which of them the model wrote. Single-turn
episodes are the only kind so far: one prompt, then tokens the model wrote.
Legend: T tokens of one response. Nothing here imports torch, ray or vllm.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from prorl_api.spec_algorithm import KlEstimator, MismatchType


@dataclass(frozen=True, kw_only=True, slots=True)
class Prompt:
    """One task instance. `ordinal` is its place in the job's order of prompts, a pure function of
    (seed, ordinal)."""

    ordinal: int
    set_name: str
    domain: str
    verifier: str
    text: str
    token_ids: tuple[int, ...]
    answer: Any
    meta: dict[str, Any] = field(default_factory=dict)


class FinishReason(StrEnum):
    """Why generation ended."""

    STOP = "stop"
    """The model wrote its end-of-sequence token, which is part of token_ids."""
    LENGTH = "length"
    """maxResponseTokens was reached."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GenerationRequest:
    """One completion to be drawn. `request_id` is unique within a step and names the completion
    everywhere; `seed` makes the draw reproducible."""

    request_id: str
    prompt_token_ids: tuple[int, ...]
    max_tokens: int
    temperature: float
    seed: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """Response tokens [start, end) were drawn from the weights `version`."""

    start: int
    end: int
    version: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Completion:
    """What the model wrote. token_ids, mask, logprobs: length T each."""

    request_id: str
    token_ids: tuple[int, ...]
    """Response tokens, the end-of-sequence token included if it was written."""
    mask: tuple[bool, ...]
    """True where the model wrote the token (and may learn from it)."""
    logprobs: tuple[float, ...]
    """Natural log-probability of each token at the rollout temperature (lp_roll)."""
    finish_reason: FinishReason
    weight_versions: tuple[str, ...]
    """Versions of the weights that wrote it, oldest first; one unless weights changed meanwhile."""
    text: str
    """Decoded token_ids without special tokens; what the verifier judges."""
    weight_starts: tuple[int, ...] = (0,)
    """Index of the first token of each of weight_versions."""

    @property
    def spans(self) -> tuple[Span, ...]:
        """Which weights wrote which tokens, in order and without gaps."""
        ends = (*self.weight_starts[1:], len(self.token_ids))
        rows = zip(self.weight_starts, ends, self.weight_versions, strict=True)
        return tuple(Span(start=start, end=end, version=version) for start, end, version in rows)


OnCompletion = Callable[[Completion], None]
"""Is handed each completion when it ends."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """The judgement of one completion. `score` is None iff the verifier could not judge it; such a
    completion is masked and counted, never rewarded."""

    score: float | None
    reason: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """All completions of one prompt, with their verdicts in the same order."""

    prompt: Prompt
    completions: tuple[Completion, ...]
    verdicts: tuple[Verdict, ...]

    @property
    def scores(self) -> tuple[float, ...]:
        """Scores of the judged completions."""
        return tuple(v.score for v in self.verdicts if v.score is not None)

    @property
    def trainable(self) -> tuple[tuple[Completion, float], ...]:
        """Completions to learn from, with their scores: judged, and not without a token of the
        model, whose advantage no token could carry."""
        pairs = zip(self.completions, self.verdicts, strict=True)
        return tuple((c, v.score) for c, v in pairs if v.score is not None and any(c.mask))


@dataclass(frozen=True, kw_only=True, slots=True)
class CarriedGroup:
    """A judged group that no step has taken yet. Its prompt is a function of the ordinal."""

    ordinal: int
    completions: tuple[Completion, ...]
    verdicts: tuple[Verdict, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingSequence:
    """One completion as the learner gets it. mask, rollout_logprobs: length T."""

    prompt_token_ids: tuple[int, ...]
    response_token_ids: tuple[int, ...]
    mask: tuple[bool, ...]
    rollout_logprobs: tuple[float, ...]
    group: int
    """Index of the group within the batch."""
    reward: float
    advantage: float
    """Sequence-level advantage before token masking (already normalised over the batch)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingBatch:
    """All kept sequences of one RL step, groups kept together and in order."""

    step: int
    sequences: tuple[TrainingSequence, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class UpdateSettings:
    """The learner's hyperparameters for one RL step (see spec.algorithm for meaning and units)."""

    num_updates: int
    learning_rate: float
    """Already scaled by the warm-up."""
    max_grad_norm: float
    clip_low: float
    clip_high: float
    clip_dual: float | None
    kl_estimator: KlEstimator
    kl_coefficient: float
    kl_clamp: float
    mismatch_type: MismatchType
    mismatch_bounds: tuple[float, float]
    """Low and high of rho."""
    temperature: float
    tokens_per_microbatch: int
    entropy_coefficient: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class UpdateResult:
    """What one RL step's updates measured, averaged over tokens of the whole batch and identical on
    every rank. Those of policy against reference or engine are taken before the first update.

    loss, grad_norm (before clipping), clip_fraction_low, clip_fraction_high, clip_fraction_dual,
    ppo_kl: means over the updates. kl (k2), kl_k1: to the reference. entropy: the estimate
    -mean lp_old, nats; entropy_exact: only there if entropy_coefficient is not 0.
    Of rho = exp(lp_old - lp_roll), before any bound: is_weight_mean, is_weight_std, is_ess
    (effective share of the tokens, (sum rho)² / (n·sum rho²)), is_chi2 (mean rho² - 1), gen_kl (k3
    of rollout to trainer), is_oob_ratio (share of tokens that the bounds change or drop; ICE-POP's
    for `none`). mismatch (mean |lp_old - lp_roll|), mismatch_max, token_mult_prob_error (mean
    exp|lp_old - lp_roll|), prob_difference (mean |p_old - p_roll|)."""

    metrics: dict[str, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardFiles:
    """What a rank wrote into a checkpoint directory: relative path -> (size in bytes, checksum)."""

    files: dict[str, tuple[int, str]]
