"""How it is trained: spec.algorithm. Symbols: docs/recipe.md."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from prorl_api.base import ApiModel
from prorl_api.spec_length import LengthPenaltySpec


class Preset(StrEnum):
    """Published recipes; presets.py has their values."""

    PRORL_V2 = "prorl-v2"
    PRORL_V1 = "prorl-v1"
    DAPO = "dapo"
    GRPO = "grpo"


class Estimator(StrEnum):
    """How rewards become advantages."""

    REINFORCE_PP_BASELINE = "reinforce++-baseline"
    """Reward minus the group mean, then normalised over the global batch (ProRL v2)."""
    REINFORCE_PP = "reinforce++"
    """The reward itself, normalised over the global batch; needs no group."""
    GRPO = "grpo"
    """Reward minus the group mean, divided by the group's standard deviation (ProRL v1)."""
    RLOO = "rloo"
    """Reward minus the mean of the group's other rewards."""
    DR_GRPO = "dr-grpo"
    """Reward minus the group mean, and nothing else."""


NORMALISING = (Estimator.REINFORCE_PP_BASELINE, Estimator.REINFORCE_PP)
"""Estimators that normalise over the batch."""


class Normalisation(StrEnum):
    """What counts once in the mean and standard deviation over the batch."""

    TOKEN = "token"
    SEQUENCE = "sequence"


class AdvantageSpec(ApiModel):
    """How rewards become advantages."""

    estimator: Estimator = Estimator.REINFORCE_PP_BASELINE
    """reinforce++-baseline: reward minus group mean, normalised over the global batch (ProRL v2).
    reinforce++: the same without a group mean. grpo: minus group mean, divided by the group's
    standard deviation. rloo: minus the mean of the group's other rewards. dr-grpo: minus group
    mean only."""
    normalisation: Normalisation = Normalisation.TOKEN
    """What counts once when a reinforce++ estimator normalises: a token, as in the released
    trainers, or a sequence, as the papers write it. The other estimators have no such step."""


class ClipSpec(ApiModel):
    """Asymmetric PPO clipping ("clip-higher"): the ratio is kept in [1 - low, 1 + high]."""

    low: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Lower clip distance."""
    high: Annotated[float, Field(gt=0, le=10)] = 0.28
    """Upper clip distance."""
    dual: Annotated[float, Field(gt=1, le=100)] | None = None
    """Dual clip: a token with negative advantage costs at most this many times |advantage|, however
    large its ratio; absent means no such limit. 3 is usual."""


class KlEstimator(StrEnum):
    """How the KL to the reference is estimated from a sampled token."""

    K1 = "k1"
    K2 = "k2"
    K3 = "k3"


class KlSpec(ApiModel):
    """The trust region: a KL term to the frozen reference, added to the loss."""

    estimator: KlEstimator = KlEstimator.K2
    """With d the log-ratio of policy to reference: k2 = d²/2, whose gradient is that of the reverse
    KL (ProRL v2); k3 = exp(-d) - 1 + d, whose gradient is that of the forward KL (GRPO); k1 = d,
    whose expected gradient as a loss is zero: it pulls nowhere and only adds noise."""
    coefficient: Annotated[float, Field(ge=0, le=10)] = 1e-4
    """Weight of the KL term; 0 switches it off (KL is still measured)."""
    clamp: Annotated[float, Field(gt=0, le=20)] = 10.0
    """The log-ratio to the reference is clamped to [-clamp, clamp], in nats, before all else."""


class MismatchType(StrEnum):
    """What is done about tokens that trainer and engine do not see alike."""

    NONE = "none"
    TIS = "tis"
    ICEPOP = "icepop"
    SEQUENCE_MASK = "sequence-mask"


MISMATCH_BOUNDS = {
    MismatchType.NONE: (0.5, 5.0),
    MismatchType.TIS: (0.0, 2.0),
    MismatchType.ICEPOP: (0.5, 5.0),
    MismatchType.SEQUENCE_MASK: (0.999, 1.002),
}
"""Default low and high; bounds of one type make no sense for another. For `none` they are what is
measured, not what is done."""


class MismatchCorrectionSpec(ApiModel):
    """Weights of the policy loss against the mismatch of trainer and engine. rho is the probability
    of a token by the trainer over that by the engine, with the weights that sampled it."""

    type: MismatchType = MismatchType.ICEPOP
    """icepop: weight rho, 0 outside the bounds (ProRL v2). tis: rho clamped to the bounds.
    sequence-mask: rho, and 0 for all tokens of a sequence whose geometric mean of rho is outside
    the bounds (ProRL v2.1, for long sequences). none: weight 1."""
    low: Annotated[float, Field(ge=0, le=1)] | None = None
    """Lower bound of rho; absent means 0.5 for icepop, 0 for tis, 0.999 for sequence-mask."""
    high: Annotated[float, Field(ge=1, le=1000)] | None = None
    """Upper bound of rho; absent means 5 for icepop, 2 for tis, 1.002 for sequence-mask."""

    @property
    def bounds(self) -> tuple[float, float]:
        """Low and high in force."""
        low, high = MISMATCH_BOUNDS[self.type]
        return (low if self.low is None else self.low, high if self.high is None else self.high)


class SamplingSpec(ApiModel):
    """How completions are drawn; top-p and top-k are off so that log-probs stay exact."""

    temperature: Annotated[float, Field(gt=0, le=2)] = 1.0
    """Softmax temperature of the sampler, applied alike to all log-probs of the trainer."""
    max_prompt_tokens: Annotated[int, Field(ge=1, le=1_000_000)] = 1024
    """A longer prompt is an error of the data."""
    max_response_tokens: Annotated[int, Field(ge=1, le=1_000_000)] = 8192
    """Cap of one completion."""


class DynamicSamplingSpec(ApiModel):
    """Groups whose samples all earn the same reward carry no signal and are drawn again."""

    enabled: bool = True
    """Off: every group is trained on."""
    max_rounds: Annotated[int, Field(ge=1, le=100)] = 10
    """Generation rounds per step at most. After the last one the step goes on if at least half of
    promptsPerStep is there; otherwise the job fails with exit code NoSignal."""
    oversample: Annotated[float, Field(ge=1, le=4)] = 1.0
    """Prompts drawn in a round per prompt that is missing. More than 1 saves rounds, each of which
    waits for its longest completion. Groups with a signal beyond promptsPerStep are carried to the
    next step where rollout.maxStaleness allows it; else their prompts are drawn again then."""


class AlgorithmSpec(ApiModel):
    """The ProRL recipe."""

    preset: Preset = Preset.PRORL_V2
    """The published recipe that gives fields marked "by preset" a value where the manifest gives
    none. Every field stays settable."""
    steps: Annotated[int, Field(ge=1, le=1_000_000)] = 2000
    """RL steps (one rollout batch each) until the job has succeeded."""
    prompts_per_step: Annotated[int, Field(ge=1, le=65_536)] = 512
    """Groups per RL step."""
    samples_per_prompt: Annotated[int, Field(ge=1, le=1024)] = 16
    """Completions per prompt, the group size N."""
    updates_per_step: Annotated[int, Field(ge=1, le=64)] = 4
    """Optimizer updates per RL step; each takes a mini-batch of whole groups."""
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 1e-6
    """Peak learning rate of AdamW, constant after the warm-up."""
    warmup_steps: Annotated[int, Field(ge=0, le=100_000)] = 10
    """RL steps of linear learning-rate warm-up."""
    max_grad_norm: Annotated[float, Field(gt=0, le=1000)] = 1.0
    """Gradient norm clip."""
    tokens_per_microbatch: Annotated[int, Field(ge=64, le=10_000_000)] = 16_384
    """Packed tokens per forward pass and rank; bounds memory, does not change the result."""
    advantage: AdvantageSpec = AdvantageSpec()
    clip: ClipSpec = ClipSpec()
    kl: KlSpec = KlSpec()
    entropy_coefficient: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Weight of the entropy bonus: this times the mean exact entropy, nats per token, is taken off
    the loss. 0 switches it off (entropy is still estimated)."""
    length_penalty: LengthPenaltySpec = LengthPenaltySpec()
    mismatch_correction: MismatchCorrectionSpec = MismatchCorrectionSpec()
    sampling: SamplingSpec = SamplingSpec()
    dynamic_sampling: DynamicSamplingSpec = DynamicSamplingSpec()
    seed: Annotated[int, Field(ge=0, le=2_147_483_647)] = 0
    """Seed of everything drawn: prompt order, sampling, validation."""
