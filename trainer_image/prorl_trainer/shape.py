"""The reward that advantages are made of: a raw score and the length terms of the spec. Pure."""

from prorl_api.spec_algorithm import AlgorithmSpec
from prorl_api.spec_length import CosineSpec
from prorl_api.spec_model import VerifierName

from prorl_trainer.algo.length_penalty import (
    cosine_active,
    cosine_eta,
    overlong_penalty,
    stop_properly,
)
from prorl_trainer.types import Completion, FinishReason, Prompt


def shape(
    spec: AlgorithmSpec, finished_steps: int, prompt: Prompt, completion: Completion, score: float
) -> float:
    """The score (in [0, 1]) after stopProperly, cosine and overlong. The factor comes first: it
    must not meet a negative reward."""
    terms, cap = spec.length_penalty, spec.sampling.max_response_tokens
    num_tokens = sum(completion.mask)
    score = stop_properly(
        score,
        truncated=completion.finish_reason is FinishReason.LENGTH,
        coefficient=terms.stop_properly.coefficient,
    )
    if terms.cosine is not None:
        term = cosine_term(terms.cosine, finished_steps, num_tokens=num_tokens, max_tokens=cap)
        # Math scores are 0 or 1; others may be partial, and there a wrong answer stays at 0.
        score += term * (1.0 if prompt.verifier == VerifierName.MATH_VERIFY else score)
    if terms.overlong is not None:
        score += overlong_penalty(
            num_tokens=num_tokens,
            max_tokens=cap,
            buffer_tokens=terms.overlong.buffer_of(cap),
            factor=terms.overlong.factor,
        )
    return score


def cosine_term(
    spec: CosineSpec, finished_steps: int, *, num_tokens: int, max_tokens: int
) -> float:
    """The weighted cosine; 0 in its off phase."""
    active = cosine_active(
        step=finished_steps,
        on_steps=spec.on_steps,
        off_steps=spec.off_steps,
        offset=spec.offset,
    )
    if not active:
        return 0.0
    return spec.weight * cosine_eta(
        num_tokens=num_tokens, max_tokens=max_tokens, eta_min=spec.eta_min, eta_max=spec.eta_max
    )
