"""Held-out measures: pass@k against counting all draws, means over sets, and the best step."""

from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prorl_api.job import ProRLJobSpec
from prorl_api.spec_model import ValidationSpec
from prorl_trainer.algo.passk import mean_pass_at_k, pass_at_k
from prorl_trainer.checkpoint.state import RunState
from prorl_trainer.types import Group, Prompt, Verdict
from prorl_trainer.validation import after_validation, measure

SET: dict[str, Any] = {"name": "sums", "domain": "math", "uri": "gym://reasoning-gym/chain_sum"}
STATE = RunState(job_uid="u", job_name="j", spec_hash="h")


@given(st.integers(1, 8).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))), st.data())
def test_pass_at_k_is_the_share_of_draws_with_a_correct_sample(
    counts: tuple[int, int], data: st.DataObject
) -> None:
    n, c = counts
    k = data.draw(st.integers(1, n))
    draws = list(combinations([True] * c + [False] * (n - c), k))
    expected = sum(any(draw) for draw in draws) / len(draws)
    assert pass_at_k(num_samples=n, num_correct=c, k=k) == pytest.approx(expected)


@pytest.mark.parametrize("k", [0, 5])
def test_a_k_that_the_samples_cannot_tell_is_refused(k: int) -> None:
    with pytest.raises(ValueError, match=f"k is {k}, must be from 1 to the 4 samples"):
        pass_at_k(num_samples=4, num_correct=1, k=k)


def test_a_partial_score_is_not_correct_and_a_rounded_one_is() -> None:
    assert mean_pass_at_k([[0.999, 0.5]], 1) == 0.0
    assert mean_pass_at_k([[1.0 - 1e-9, 0.0]], 1) == 0.5


def test_a_group_with_fewer_judged_samples_than_k_is_left_out() -> None:
    assert mean_pass_at_k([[1.0], [0.0, 1.0, 0.0]], 2) == pytest.approx(2 / 3)
    assert mean_pass_at_k([[1.0]], 2) is None


def make_group(name: str, domain: str, *scores: float | None) -> Group:
    prompt = Prompt(
        ordinal=-1, set_name=name, domain=domain, verifier="v", text="t", token_ids=(1,), answer="",
    )  # fmt: skip
    return Group(prompt=prompt, completions=(), verdicts=tuple(Verdict(score=s) for s in scores))


def test_each_set_counts_once_within_its_domain_and_in_all() -> None:
    groups = [
        make_group("a", "math", 1.0, 0.0),
        make_group("a", "math", 0.0, 0.0),
        make_group("b", "math", 1.0, 1.0),
        make_group("c", "logic", 0.5, None),
    ]
    assert measure(groups, (1, 2)) == pytest.approx(
        {
            "accuracy": (0.25 + 1.0 + 0.5) / 3,
            "pass_at_1": (0.25 + 1.0 + 0.0) / 3,
            "pass_at_2": (0.5 + 1.0) / 2,
            "accuracy_a": 0.25, "pass_at_1_a": 0.25, "pass_at_2_a": 0.5,
            "accuracy_b": 1.0, "pass_at_1_b": 1.0, "pass_at_2_b": 1.0,
            "accuracy_c": 0.5, "pass_at_1_c": 0.0,
            "accuracy_domain_logic": 0.5, "pass_at_1_domain_logic": 0.0,
            "accuracy_domain_math": 0.625, "pass_at_1_domain_math": 0.625,
            "pass_at_2_domain_math": 0.75,
        }
    )  # fmt: skip
    assert measure([make_group("a", "math", None)], (1,)) == {}


@pytest.mark.parametrize(
    ("samples", "given_ks", "expected"),
    [
        pytest.param(1, None, (1,), id="one-sample"),
        pytest.param(8, None, (1, 8), id="default"),
        pytest.param(8, [4, 1, 4], (1, 4), id="given"),
    ],
)
def test_which_k_are_reported(
    samples: int, given_ks: list[int] | None, expected: tuple[int, ...]
) -> None:
    spec = ValidationSpec(samplesPerPrompt=samples, passK=given_ks, sets=[SET])
    assert spec.pass_ks == expected


def make_spec(keep_best: int) -> ProRLJobSpec:
    return ProRLJobSpec.model_validate(
        {
            "model": {"uri": "tiny://llama"},
            "data": {"train": [SET]},
            "checkpoint": {"keepBest": keep_best},
        }
    )


@pytest.mark.parametrize(("keep", "expected"), [(0, []), (1, [30]), (2, [10, 30])])
def test_only_a_new_best_makes_a_best_step(keep: int, expected: list[int]) -> None:
    state = STATE
    for step, accuracy in ((0, 0.2), (10, 0.4), (20, 0.4), (30, 0.5), (40, 0.1)):
        state = state.model_copy(update={"step": step})
        state = after_validation(make_spec(keep), state, {"accuracy": accuracy})
    assert (state.best_steps, state.best_accuracy, state.accuracy) == (expected, 0.5, 0.1)
