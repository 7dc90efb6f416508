"""Every switch of the loss gives two ranks the gradients and measures of one."""

from pathlib import Path
from typing import Any

import pytest
import torch
from learner_builders import build_model_dir, make_batch, make_settings
from prorl_api.spec_algorithm import KlEstimator, MismatchType
from two_ranks import TOLERANCE, Plan, run_one, run_two

OPTIONS: dict[str, dict[str, Any]] = {
    "k1": {"kl_estimator": KlEstimator.K1},
    "k3": {"kl_estimator": KlEstimator.K3},
    "tis": {"mismatch_type": MismatchType.TIS, "mismatch_bounds": (0.0, 2.0)},
    "icepop": {"mismatch_type": MismatchType.ICEPOP, "mismatch_bounds": (0.5, 5.0)},
    "sequence-mask": {
        "mismatch_type": MismatchType.SEQUENCE_MASK,
        "mismatch_bounds": (0.5, 2.0),
    },
    "entropy": {"entropy_coefficient": 0.1},
}


def plan() -> Plan:
    # Each pair starts from the same weights up to the rounding of the steps before: a tiny rate.
    entries: Plan = []
    for values in OPTIONS.values():
        settings = make_settings(**({"num_updates": 1, "learning_rate": 1e-5} | values))
        entries += [("update", (make_batch(groups=5, samples=3), settings)), ("gradients", ())]
    return entries


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Any], list[list[Any]]]:
    model_dir: Path = build_model_dir(tmp_path_factory.mktemp("model"))
    return run_one(model_dir, plan()), run_two(model_dir, plan(), tmp_path_factory.mktemp("two"))


@pytest.mark.parametrize("index", range(len(OPTIONS)), ids=list(OPTIONS))
def test_two_ranks_do_what_one_does(results: tuple[list[Any], list[list[Any]]], index: int) -> None:
    one, two = results
    for rank in two:
        assert rank[2 * index].metrics == pytest.approx(
            one[2 * index].metrics, rel=1e-3, abs=TOLERANCE
        )
        for name, gradient in one[2 * index + 1].items():
            torch.testing.assert_close(
                rank[2 * index + 1][name], gradient, atol=2e-5, rtol=1e-3, msg=name
            )
