"""Rates and waiting of a step, from scripted groups and seconds."""

import pytest
from prorl_trainer.collected import Collected, Drawn
from prorl_trainer.throughput import nearest_rank, throughput
from prorl_trainer.types import Completion, FinishReason, Group, Prompt, Verdict


def make_group(*tokens: int) -> Group:
    prompt = Prompt(
        ordinal=0, set_name="a", domain="math", verifier="math-verify", text="?", token_ids=(1,),
        answer="2",
    )  # fmt: skip
    completions = tuple(
        Completion(
            request_id=str(i), token_ids=(2,) * n, mask=(True,) * n, logprobs=(-1.0,) * n,
            finish_reason=FinishReason.STOP, weight_versions=("1-0",), text="",
        )
        for i, n in enumerate(tokens)
    )  # fmt: skip
    return Group(
        prompt=prompt, completions=completions, verdicts=(Verdict(score=1.0),) * len(tokens)
    )


def collected(*rounds: tuple[list[Group], tuple[float, ...]]) -> Collected:
    out = Collected(step=0, next_ordinal=0)
    for groups, latencies in rounds:
        drawn = Drawn(
            groups=groups, generate_seconds=1.0, verify_seconds=0.5, verify_latencies=latencies
        )
        out.add(drawn, keep_all=True)
    return out


def test_all_rounds_count_and_shares_are_of_the_same_time() -> None:
    out = collected(([make_group(3, 5)], (0.2,)), ([make_group(2, 2)], (1.0,)))
    assert throughput(out, waited=3.0, elapsed=4.0) == pytest.approx(
        {
            "samples_per_second": 1.0, "tokens_per_second": 3.0, "wait_for_batch": 0.75,
            "verify_p99_seconds": 1.0, "verify_p99_share": 0.25,
        }
    )  # fmt: skip


def test_a_step_that_lives_on_carried_groups_has_verified_nothing() -> None:
    values = throughput(Collected(step=0, next_ordinal=0), waited=0.0, elapsed=2.0)
    assert values == {"samples_per_second": 0.0, "tokens_per_second": 0.0, "wait_for_batch": 0.0}


@pytest.mark.parametrize(
    ("count", "expected"), [(1, 1.0), (99, 99.0), (100, 99.0), (101, 100.0), (200, 198.0)]
)
def test_one_in_a_hundred_may_be_slower(count: int, expected: float) -> None:
    values = [float(n) for n in range(count, 0, -1)]
    assert nearest_rank(values, 0.99) == expected
