"""The learner on real torch: ranks, accumulation and resuming do not change what is learned."""

import dataclasses
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from prorl_trainer.errors import NonFiniteError
from prorl_trainer.learn.learner import Learner, RankSettings
from tiny_model import make_batch, make_model, make_settings

WEIGHT_TOLERANCE = 2e-5
"""Two ranks sum in another order (fp32), and Adam turns tiny gradients into whole steps: 1 % of two
updates at learning rate 1e-3."""


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory) -> Path:
    return make_model(tmp_path_factory.mktemp("model"))


def make_learner(model_dir: Path, *, rank: int = 0, world_size: int = 1, port: int = 0) -> Learner:
    return Learner(
        RankSettings(
            rank=rank, world_size=world_size, master_address="127.0.0.1", master_port=port,
            model_dir=str(model_dir), seed=0, device="cpu",
        )
    )  # fmt: skip


def weights(learner: Learner) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in learner.named_weights()}


def distance(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> float:
    assert a.keys() == b.keys()
    return max((a[name] - b[name]).abs().max().item() for name in a)


RANK_PROGRAM = """
import sys, torch
from pathlib import Path
from tiny_model import make_batch, make_settings
sys.path.insert(0, sys.argv[5])
from test_learner import make_learner, weights
rank, port, model, out = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4])
learner = make_learner(model, rank=rank, world_size=2, port=port)
result = learner.update(make_batch(), make_settings())
found = weights(learner)
(out / "shards").mkdir(exist_ok=True)
learner.stage()
learner.write(str(out / "shards"))
if rank == 0:
    torch.save({"weights": found, "metrics": result.metrics}, out / "result.pt")
learner.close()
"""


def test_two_ranks_learn_what_one_rank_learns(model_dir, tmp_path):
    from ports import free_port

    port = free_port()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    ranks = [
        subprocess.Popen(
            [
                sys.executable, "-c", RANK_PROGRAM, str(rank), str(port), str(model_dir),
                str(tmp_path), str(Path(__file__).parent),
            ],
            env=environment,
        )
        for rank in range(2)
    ]  # fmt: skip
    assert [process.wait(240) for process in ranks] == [0, 0]
    two = torch.load(tmp_path / "result.pt", weights_only=True)

    one = make_learner(model_dir)
    before = weights(one)
    result = one.update(make_batch(), make_settings())
    assert distance(before, weights(one)) > 1e-4  # it did learn
    assert distance(two["weights"], weights(one)) < WEIGHT_TOLERANCE
    for name in ("loss", "grad_norm", "kl", "entropy", "ppo_kl", "mismatch"):
        assert two["metrics"][name] == pytest.approx(result.metrics[name], rel=1e-4, abs=1e-6), name

    # What two ranks have saved, one rank can load.
    other = make_learner(model_dir)
    other.load(str(tmp_path / "shards"))
    assert distance(weights(other), two["weights"]) == 0.0


def test_the_microbatch_size_does_not_change_the_gradient(model_dir):
    norms = []
    for tokens in (64, 100_000):
        learner = make_learner(model_dir)
        settings = make_settings(tokens_per_microbatch=tokens, num_updates=1)
        norms.append(learner.update(make_batch(), settings).metrics["grad_norm"])
    assert norms[0] == pytest.approx(norms[1], rel=1e-4)


def test_a_resumed_learner_goes_on_bit_for_bit(model_dir, tmp_path):
    straight, stopped = make_learner(model_dir), make_learner(model_dir)
    for learner in (straight, stopped):
        learner.update(make_batch(seed=1), make_settings())
        learner.reset_reference()
    stopped.stage()
    files = stopped.write(str(tmp_path)).files
    assert all((tmp_path / name).stat().st_size == size for name, (size, _) in files.items())
    resumed = make_learner(model_dir)
    resumed.load(str(tmp_path))
    assert resumed.state_digest() == straight.state_digest()
    straight.update(make_batch(seed=2), make_settings())
    resumed.update(make_batch(seed=2), make_settings())
    assert resumed.state_digest() == straight.state_digest()


def test_kl_is_zero_right_after_a_reset_and_not_before(model_dir):
    learner = make_learner(model_dir)
    learner.update(make_batch(seed=1), make_settings())
    assert learner.update(make_batch(seed=2), make_settings()).metrics["kl"] > 1e-6
    learner.reset_reference()
    assert learner.update(make_batch(seed=3), make_settings()).metrics["kl"] == 0.0


def test_the_first_update_of_a_step_is_on_policy(model_dir):
    metrics = make_learner(model_dir).update(make_batch(), make_settings(num_updates=1)).metrics
    assert metrics["clip_fraction_low"] == metrics["clip_fraction_high"] == metrics["ppo_kl"] == 0.0


@pytest.mark.parametrize("field", ["advantage", "rollout_logprobs"])
def test_a_non_finite_number_changes_no_weight(model_dir, field):
    learner, batch = make_learner(model_dir), make_batch()
    bad = {"advantage": math.nan, "rollout_logprobs": (math.inf,) * len(batch.sequences[5].mask)}
    sequences = list(batch.sequences)
    sequences[5] = dataclasses.replace(sequences[5], **{field: bad[field]})
    before = learner.state_digest()
    with pytest.raises(NonFiniteError, match="sequence 5"):
        learner.update(dataclasses.replace(batch, sequences=tuple(sequences)), make_settings())
    assert learner.state_digest() == before
