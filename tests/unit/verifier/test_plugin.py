"""The adapter for reward functions that were written for verl."""

from typing import Any

import pytest
from prorl_verifier.plugin import Verdict, from_compute_score


def asked(
    data_source: str, solution_str: str, ground_truth: Any, extra_info: Any = None
) -> dict[str, Any]:
    """Returns what it was asked, as the score."""
    return {"score": (data_source, solution_str, ground_truth, extra_info), "acc": True}


def test_completion_answer_and_meta_become_the_arguments() -> None:
    meta = {"data_source": "gsm8k", "extra_info": {"index": 3}, "more": 1}
    found = from_compute_score(asked)("so 5", "5", meta).score
    assert found == ("gsm8k", "so 5", "5", {"index": 3})


def test_a_data_source_can_be_fixed_and_extra_info_may_be_absent() -> None:
    verify = from_compute_score(asked, data_source="math")
    assert verify("a", ["b"], {}).score == ("math", "a", ["b"], None)
    assert verify("a", ["b"], {"data_source": "other"}).score[0] == "math"


def test_a_data_source_that_nobody_gives_is_missed_by_name() -> None:
    with pytest.raises(KeyError, match="data_source"):
        from_compute_score(asked)("a", "b", {})


@pytest.mark.parametrize(
    ("returned", "score"),
    [(0.5, 0.5), (1, 1.0), (True, 1.0), ({"score": 0.25, "acc": 0}, 0.25), ({"score": False}, 0.0)],
)
def test_what_it_returns_becomes_the_score(returned: Any, score: float) -> None:
    verify = from_compute_score(lambda **_: returned, data_source="math")
    verdict = verify("a", "b", {})
    assert verdict == Verdict(score)
    assert type(verdict.score) is not bool


def test_what_is_no_score_is_left_to_be_refused() -> None:
    assert from_compute_score(lambda **_: "yes", data_source="a")("a", "b", {}).score == "yes"
    with pytest.raises(KeyError, match="score"):
        from_compute_score(lambda **_: {"acc": 1}, data_source="a")("a", "b", {})
