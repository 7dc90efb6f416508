"""Two ranks over gloo, in processes of their own, do what one rank does."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from learner_builders import build_model_dir, make_batch, make_settings, names_below
from torch import Tensor
from two_ranks import TOLERANCE, Plan, run_one, run_two


def first_life(shards: Path) -> Plan:
    """Updates around a reset, then a checkpoint, then one more update."""
    return [
        ("update", (make_batch(groups=5, samples=3), make_settings(num_updates=1))),
        ("gradients", ()),
        ("weights", ()),
        ("update", (make_batch(groups=4, samples=3, seed=1), make_settings(num_updates=3))),
        ("weights", ()),
        ("reset_reference", ()),
        # One sequence: the second rank only has a filler.
        ("update", (make_batch(groups=1, samples=1, seed=2), make_settings(num_updates=2))),
        ("weights", ()),
        ("save", (str(shards),)),
        ("state_digest", ()),
        *NEXT_UPDATE,
    ]


NEXT_UPDATE: Plan = [
    ("update", (make_batch(seed=4), make_settings())),
    ("weights", ()),
    ("state_digest", ()),
]
UPDATES = (0, 3, 6, 10)
WEIGHTS = (2, 4, 7, 11)
GRADIENTS, SAVE, SAVED_DIGEST, NEXT_WEIGHTS, NEXT_DIGEST = 1, 8, 9, 11, 12


@dataclass(frozen=True, kw_only=True, slots=True)
class Lives:
    """The same plan on one rank and on two, and their shards."""

    model_dir: Path
    one: list[Any]
    two: list[list[Any]]
    shards_of_one: Path
    shards_of_two: Path


@pytest.fixture(scope="module")
def lives(tmp_path_factory: pytest.TempPathFactory) -> Lives:
    model_dir = build_model_dir(tmp_path_factory.mktemp("model"))
    directory = tmp_path_factory.mktemp("lives")
    one, two = directory / "one", directory / "two"
    return Lives(
        model_dir=model_dir,
        one=run_one(model_dir, first_life(one)),
        two=run_two(model_dir, first_life(two), directory),
        shards_of_one=one,
        shards_of_two=two,
    )


def assert_same(a: dict[str, Tensor], b: dict[str, Tensor]) -> None:
    assert a.keys() == b.keys()
    for name in a:
        torch.testing.assert_close(a[name], b[name], atol=TOLERANCE, rtol=1e-4, msg=name)


def assert_same_after_adam(a: dict[str, Tensor], b: dict[str, Tensor]) -> None:
    """Adam divides by |gradient|: where that is near 0, rounding decides the step, so a few
    entries may differ by up to the learning rate."""
    assert a.keys() == b.keys()
    for name in a:
        far = ((a[name] - b[name]).abs() > TOLERANCE).float().mean()
        assert far < 0.01, f"{name}: {far:.2%} of the entries differ"


def test_two_ranks_have_the_gradients_of_one(lives: Lives) -> None:
    for rank in lives.two:
        assert_same(rank[GRADIENTS], lives.one[GRADIENTS])


def test_two_ranks_have_the_weights_of_one_after_every_update(lives: Lives) -> None:
    for rank in lives.two:
        for index in WEIGHTS:
            assert_same_after_adam(rank[index], lives.one[index])


def test_two_ranks_measure_what_one_does_and_agree(lives: Lives) -> None:
    for index in UPDATES:
        measured = lives.one[index].metrics
        assert lives.two[0][index].metrics == lives.two[1][index].metrics
        assert lives.two[0][index].metrics == pytest.approx(measured, rel=1e-3, abs=TOLERANCE)


def test_kl_is_exactly_zero_after_a_reset_on_any_number_of_ranks(lives: Lives) -> None:
    after_reset = UPDATES[2]
    assert lives.one[UPDATES[1]].metrics["kl"] > 0
    assert lives.one[after_reset].metrics["kl"] == 0.0
    assert lives.two[0][after_reset].metrics["kl"] == 0.0


def test_all_ranks_together_account_for_all_files(lives: Lives) -> None:
    per_rank = [rank[SAVE].files for rank in lives.two]
    merged = per_rank[0] | per_rank[1]
    assert len(merged) == len(per_rank[0]) + len(per_rank[1])
    assert merged.keys() == names_below(lives.shards_of_two)
    for name, (size, _) in merged.items():
        assert (lives.shards_of_two / name).stat().st_size == size


def test_one_rank_goes_on_from_the_shards_of_two(lives: Lives) -> None:
    plan: Plan = [("load", (str(lives.shards_of_two),)), ("state_digest", ()), *NEXT_UPDATE]
    _, digest, _, weights, _ = run_one(lives.model_dir, plan)
    assert digest == lives.two[0][SAVED_DIGEST], "policy, optimizer, reference are bit-equal"
    assert_same_after_adam(weights, lives.two[0][NEXT_WEIGHTS])


def test_two_new_ranks_go_on_from_the_shards_of_two_and_of_one(
    lives: Lives, tmp_path: Path
) -> None:
    plan: Plan = [
        ("load", (str(lives.shards_of_two),)), ("state_digest", ()), *NEXT_UPDATE,
        ("load", (str(lives.shards_of_one),)), ("state_digest", ()), *NEXT_UPDATE,
        ("error_of", ("update", make_batch(), make_settings(kl_coefficient=float("nan")))),
        ("state_digest", ()),
    ]  # fmt: skip
    for rank in run_two(lives.model_dir, plan, tmp_path):
        assert rank[1] == lives.two[0][SAVED_DIGEST]
        assert rank[4] == lives.two[0][NEXT_DIGEST], "bit-equal to the run that was not interrupted"
        assert rank[6] == lives.one[SAVED_DIGEST]
        assert_same_after_adam(rank[8], lives.one[NEXT_WEIGHTS])
        assert rank[10].startswith("NonFiniteError: Loss nan")
        assert rank[11] == rank[9], "a refused update changes nothing on any rank"
