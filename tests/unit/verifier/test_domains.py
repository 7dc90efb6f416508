"""What earns a reward, and what must not."""

import json
import time

import pytest
from judging import judge, score
from prorl_verifier.domains import logic
from prorl_verifier.domains import math as math_domain
from prorl_verifier.extract import boxed_answer, logic_answer, marked_answer
from prorl_verifier.wire import BatchError, parse_batch

RIGHT = [
    ("\\boxed{4}", "4"), ("so it is \\boxed{1/2}.", "0.5"), ("<answer> 7 </answer>", "7"),
    ("<think>\\boxed{3}</think>\\boxed{4}", "4"), ("\\boxed{1}\\boxed{2}", "2"),
    ("$12$", "12"), ("\\boxed{\\frac{1}{2}}", "0.5"), ("\\boxed{x+1}", "1+x"), ("+5", "5"),
]  # fmt: skip
WRONG = [
    ("", "4"), ("\\boxed{}", "4"), ("\\boxed{5}", "4"), ("the answer is 4 or 5", "4"),
    ("<think>4</think>", "4"), ("٤", "4"), ("nan", "4"), ("1/0", "4"), ("9" * 5000, "4"),
    ("__import__('os').system('touch /tmp/prorl-escaped')", "4"),
]  # fmt: skip


@pytest.mark.parametrize(("completion", "answer"), RIGHT)
def test_equal_mathematics_earns_the_reward(completion, answer):
    assert score(math_domain, completion, answer, {})[0] == 1.0


@pytest.mark.parametrize(("completion", "answer"), WRONG)
def test_anything_else_earns_nothing(completion, answer):
    assert score(math_domain, completion, answer, {})[0] == 0.0


def test_an_unbalanced_box_is_no_answer():
    assert boxed_answer("\\boxed{1") is None
    assert marked_answer("\\boxed{\\frac{1}{2}}") == "\\frac{1}{2}"


DATASETS = ["spell_backward", "chain_sum", "basic_arithmetic", "leg_counting"]


@pytest.mark.parametrize("name", DATASETS)
def test_the_gold_answer_of_a_dataset_scores_one_and_containing_it_nothing(name):
    from reasoning_gym.factory import create_dataset

    entry = create_dataset(name, seed=3, size=1)[0]
    meta = {"dataset": name, "entry": entry}
    assert score(logic, entry["answer"], entry["answer"], meta)[0] == 1.0
    tagged = f"well <answer>{entry['answer']}</answer>"
    assert score(logic, tagged, entry["answer"], meta)[0] == 1.0
    assert score(logic, f"it is {entry['answer']} I think", entry["answer"], meta)[0] == 0.0


def test_the_last_tagged_answer_after_thinking_counts():
    text = "<answer>1</answer></think><answer>2</answer> or <answer>3</answer>"
    assert logic_answer(text) == "3"


@pytest.mark.parametrize("name", ["n_queens", "countdown", 7, None])
def test_a_dataset_whose_scorer_runs_model_text_is_refused(name):
    with pytest.raises(logic.UnknownDatasetError, match=r"meta\.dataset"):
        logic.check_meta({"dataset": name, "entry": {"metadata": {}}})


ITEM = {"id": "a", "verifier": "math-verify", "completion": "1", "answer": "1"}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"\xff", "body"), (b"[1]", "items"), (b'{"items": [NaN]}', r"items\[0\]: must be"),
        (json.dumps({"items": [ITEM, ITEM]}).encode(), r"items\[1\]\.id: 'a' occurs twice"),
        (json.dumps({"items": [{**ITEM, "id": ""}]}).encode(), r"items\[0\]\.id: must be"),
        (json.dumps({"items": [ITEM] * 4097}).encode(), r"items: 4097 items, at most 4096"),
    ],
)  # fmt: skip
def test_a_malformed_batch_is_refused_naming_the_field(body, field):
    with pytest.raises(BatchError, match=field):
        parse_batch(body)


def test_marked_answers_are_found_in_linear_time():
    began = time.monotonic()
    for text in ("<answer>" * 120_000, "\\boxed{" * 140_000, "</answer><answer>" * 60_000):
        assert score(math_domain, text, "4", {})[0] == 0.0
    assert time.monotonic() - began < 2


def test_an_item_whose_dataset_cannot_be_scored_is_an_infra_error():
    item = {"verifier": "reasoning-gym", "completion": "1", "answer": "1", "meta": {}}
    for meta in ({}, {"dataset": "n_queens", "entry": {"metadata": {}}}, {"dataset": "chain_sum"}):
        assert "meta." in judge(item | {"meta": meta})["error"]


def test_a_sum_of_partial_credits_that_rounds_to_more_than_one_is_no_full_mark():
    entry = {"answer": "ylgnimeet", "metadata": {}}
    meta = {"dataset": "spell_backward", "entry": entry}
    assert score(logic, "<answer>ylgnimeetx</answer>", "ylgnimeet", meta)[0] == 0.0


def test_more_words_than_were_to_be_sorted_are_not_the_answer():
    entry = {"answer": "ant, bee, cow", "metadata": {"sorted_words": ["ant", "bee", "cow"]}}
    meta = {"dataset": "word_sorting", "entry": entry}
    for given, earned in (("ant,bee,  cow", 1.0), ("ant, bee, cow, dog", 0.0), ("ant, bee", 0.0)):
        assert score(logic, f"<answer>{given}</answer>", entry["answer"], meta)[0] == earned
