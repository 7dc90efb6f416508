"""Length terms by hand, their bounds, and shaping from the spec to the batch."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prorl_api.spec_algorithm import AlgorithmSpec
from prorl_trainer.algo.length_penalty import (
    cosine_active,
    cosine_eta,
    overlong_penalty,
    stop_properly,
)
from prorl_trainer.batch import build_batch, reward_metrics
from prorl_trainer.types import Completion, FinishReason, Group, Prompt, Verdict


@pytest.mark.parametrize(
    ("tokens", "eta"),
    [(0, 0.0), (2048, -0.146447), (4096, -0.5), (6144, -0.853553), (8192, -1.0), (9999, -1.0)],
)
def test_cosine_as_computed_by_hand(tokens: int, eta: float) -> None:
    found = cosine_eta(num_tokens=tokens, max_tokens=8192, eta_min=-1.0, eta_max=0.0)
    assert found == pytest.approx(eta, abs=1e-6)


@given(st.integers(0, 200), st.integers(0, 200))
def test_cosine_never_rises_with_length_and_stays_in_its_range(a: int, b: int) -> None:
    low, high = (
        cosine_eta(num_tokens=n, max_tokens=100, eta_min=-0.7, eta_max=0.3)
        for n in (max(a, b), min(a, b))
    )
    assert -0.7 - 1e-9 <= low <= high <= 0.3 + 1e-9


def test_the_cosine_term_is_on_and_off_by_the_step() -> None:
    on = [s for s in range(1300) if cosine_active(step=s, on_steps=100, off_steps=500, offset=0)]
    assert on == [*range(100), *range(600, 700), *range(1200, 1300)]
    late = [s for s in range(620) if cosine_active(step=s, on_steps=100, off_steps=500, offset=500)]
    assert late == list(range(500, 600))


@pytest.mark.parametrize(
    ("tokens", "penalty"), [(100, 0.0), (16384, 0.0), (18432, -0.5), (20480, -1.0), (30000, -1.0)]
)
def test_overlong_as_computed_by_hand(tokens: int, penalty: float) -> None:
    for factor in (1.0, 0.25):
        found = overlong_penalty(
            num_tokens=tokens, max_tokens=20480, buffer_tokens=4096, factor=factor
        )
        assert found == pytest.approx(factor * penalty)


def test_stop_properly_scales_only_truncated_rewards_and_refuses_negative_ones() -> None:
    assert stop_properly(0.8, truncated=True, coefficient=0.25) == pytest.approx(0.2)
    assert stop_properly(0.8, truncated=False, coefficient=0.25) == 0.8
    with pytest.raises(ValueError, match=r"reward is -1.0"):
        stop_properly(-1.0, truncated=True, coefficient=0.0)


def make_group(*samples: tuple[float | None, int], verifier: str = "math-verify") -> Group:
    """Samples are (score, tokens); 10 tokens are the cap, and truncated."""
    prompt = Prompt(
        ordinal=0, set_name="a", domain="math", verifier=verifier, text="?", token_ids=(1,),
        answer="2",
    )  # fmt: skip
    completions = tuple(
        Completion(
            request_id=str(i), token_ids=(2,) * n, mask=(True,) * n, logprobs=(-1.0,) * n,
            finish_reason=FinishReason.LENGTH if n == 10 else FinishReason.STOP,
            weight_versions=("1-0",), text="",
        )
        for i, (_, n) in enumerate(samples)
    )  # fmt: skip
    verdicts = tuple(Verdict(score=score) for score, _ in samples)
    return Group(prompt=prompt, completions=completions, verdicts=verdicts)


def shaped(group: Group, step: int = 1, **penalty: Any) -> list[float]:
    """Rewards by the given terms; stopProperly is off unless it is among them."""
    terms = {"stop_properly": {"coefficient": 1}} | penalty
    spec = AlgorithmSpec.model_validate(
        {"sampling": {"max_response_tokens": 10}, "length_penalty": terms}
    )
    return [s.reward for s in build_batch(spec, step, [group]).sequences]


SAMPLES = make_group((1.0, 5), (1.0, 10), (0.0, 5), (None, 3), (0.0, 10))
COSINE = {"on_steps": 2, "off_steps": 3, "offset": 0}


def test_without_terms_the_reward_is_the_score() -> None:
    assert shaped(SAMPLES) == [1.0, 1.0, 0.0, 0.0]


def test_stop_properly_takes_the_reward_of_truncated_responses() -> None:
    assert shaped(SAMPLES, stop_properly={}) == [1.0, 0.0, 0.0, 0.0]


def test_the_overlong_term_is_added() -> None:
    found = shaped(SAMPLES, overlong={"buffer_tokens": 10, "factor": 0.5})
    assert found == pytest.approx([0.75, 0.5, -0.25, -0.5])


def test_the_overlong_term_covers_the_last_fifth_unless_told_otherwise() -> None:
    group = make_group((1.0, 8), (1.0, 9), (1.0, 10))
    assert shaped(group, overlong={}) == pytest.approx([1.0, 0.5, 0.0])
    assert shaped(group, overlong={"factor": 0}) == pytest.approx([1.0, 1.0, 1.0])


def test_the_cosine_term_is_added_in_its_phase_only() -> None:
    assert shaped(SAMPLES, cosine=COSINE) == pytest.approx([0.9, 0.8, -0.1, -0.2])
    assert shaped(SAMPLES, step=2, cosine=COSINE) == pytest.approx([0.9, 0.8, -0.1, -0.2])
    assert shaped(SAMPLES, step=3, cosine=COSINE) == [1.0, 1.0, 0.0, 0.0]


def test_the_cosine_term_scales_continuous_scores() -> None:
    group = make_group((0.5, 5), (0.0, 10), verifier="reasoning-gym")
    assert shaped(group, cosine=COSINE) == pytest.approx([0.45, 0.0])


def test_terms_stack_and_the_factor_never_meets_a_negative_reward() -> None:
    found = shaped(SAMPLES, stop_properly={}, cosine=COSINE, overlong={"buffer_tokens": 10})
    assert found == pytest.approx([0.4, -1.2, -0.6, -1.2])


def test_raw_and_shaped_means_are_over_the_same_sequences() -> None:
    spec = AlgorithmSpec.model_validate(
        {"sampling": {"max_response_tokens": 10}, "length_penalty": {"stop_properly": {}}}
    )
    batch = build_batch(spec, 1, [SAMPLES])
    assert reward_metrics([SAMPLES], batch) == {
        "trained_reward_mean": 0.5,
        "shaped_reward_mean": 0.25,
    }
