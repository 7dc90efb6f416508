"""Two ranks over gloo, in processes of their own, do what one rank does."""

import pickle
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from learner_builders import build_model_dir, make_batch, make_settings
from prorl_trainer.learn.learner import RankSettings

TOLERANCE = 2e-6
"""fp32 sums in another order; gradients here are of order 1."""
RANK = Path(__file__).with_name("learner_rank.py")
ROOT = Path(__file__).parents[2]

Plan = list[tuple[str, tuple[Any, ...]]]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def run_ranks(world_size: int, model_dir: Path, plan: Plan, tmp_path: Path) -> list[list[Any]]:
    """Results of the plan on each rank."""
    port = free_port()
    processes = []
    for rank in range(world_size):
        settings = RankSettings(
            rank=rank, world_size=world_size, master_address="127.0.0.1", master_port=port,
            model_dir=str(model_dir), seed=0, device="cpu",
        )  # fmt: skip
        process = subprocess.Popen(
            [sys.executable, str(RANK)],
            stdin=subprocess.PIPE,
            env={"PYTHONPATH": f"{ROOT / 'trainer_image'}:{ROOT / 'crds'}", "OMP_NUM_THREADS": "1"},
        )
        assert process.stdin is not None
        process.stdin.write(pickle.dumps((settings, plan, str(result_path(tmp_path, rank)))))
        process.stdin.close()
        processes.append(process)
    codes = [process.wait(timeout=120) for process in processes]
    assert codes == [0] * world_size
    return [torch.load(result_path(tmp_path, r), weights_only=False) for r in range(world_size)]


def result_path(tmp_path: Path, rank: int) -> Path:
    return tmp_path / f"result-{rank}.pt"


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_model_dir(tmp_path_factory.mktemp("model"))


def assert_same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> None:
    assert a.keys() == b.keys()
    for name in a:
        torch.testing.assert_close(a[name], b[name], atol=TOLERANCE, rtol=1e-4, msg=name)


STEP: Plan = [
    ("update", (make_batch(groups=5, samples=3), make_settings(num_updates=1))),
    ("gradients", ()),
    ("weights", ()),
    ("update", (make_batch(groups=4, samples=3, seed=1), make_settings(num_updates=3))),
    ("weights", ()),
    ("reset_reference", ()),
    ("update", (make_batch(groups=1, samples=1, seed=2), make_settings(num_updates=2))),
    ("weights", ()),
]


def test_two_ranks_take_the_steps_of_one(model_dir: Path, tmp_path: Path) -> None:
    (alone,) = run_ranks(1, model_dir, STEP, tmp_path)
    two = run_ranks(2, model_dir, STEP, tmp_path)
    for rank in two:
        for index in (0, 3, 6):
            assert rank[index].metrics == pytest.approx(
                alone[index].metrics, rel=1e-3, abs=TOLERANCE
            )
        for index in (1, 2, 4, 7):
            assert_same(rank[index], alone[index])
    assert two[0][0].metrics == two[1][0].metrics
    assert alone[6].metrics["kl"] == 0.0
    assert two[0][6].metrics["kl"] == 0.0


def uninterrupted(directory: Path) -> Plan:
    first = (make_batch(seed=3), make_settings())
    second = (make_batch(seed=4), make_settings())
    return [
        ("update", first),
        ("reset_reference", ()),
        ("save", (str(directory),)),
        ("state_digest", ()),
        ("update", second),
        ("weights", ()),
        ("state_digest", ()),
    ]


def resumed(directory: Path) -> Plan:
    second = (make_batch(seed=4), make_settings())
    return [
        ("load", (str(directory),)),
        ("state_digest", ()),
        ("update", second),
        ("weights", ()),
        ("state_digest", ()),
    ]


@pytest.mark.parametrize(("saved_on", "loaded_on"), [(2, 2), (2, 1), (1, 2)])
def test_a_checkpoint_loads_on_another_number_of_ranks(
    model_dir: Path, tmp_path: Path, saved_on: int, loaded_on: int
) -> None:
    shards = tmp_path / "shards"
    before = run_ranks(saved_on, model_dir, uninterrupted(shards), tmp_path)[0]
    after = run_ranks(loaded_on, model_dir, resumed(shards), tmp_path)[0]
    assert after[1] == before[3], "policy, optimizer and reference are bit-equal after loading"
    assert_same(after[3], before[5])
    if saved_on == loaded_on:
        assert after[4] == before[6], "and stay so over the next step"


def test_all_ranks_account_for_all_files(model_dir: Path, tmp_path: Path) -> None:
    shards = tmp_path / "shards"
    results = run_ranks(2, model_dir, [("save", (str(shards),))], tmp_path)
    files = {name: entry for rank in results for name, entry in rank[0].files.items()}
    assert files.keys() == {path.name for path in shards.iterdir()}
    assert sum(len(rank[0].files) for rank in results) == len(files)
    for name, (size, _) in files.items():
        assert (shards / name).stat().st_size == size


def test_both_ranks_refuse_a_batch_that_is_not_finite(model_dir: Path, tmp_path: Path) -> None:
    plan: Plan = [
        ("state_digest", ()),
        ("update_error", (make_batch(), make_settings(kl_coefficient=float("nan")))),
        ("state_digest", ()),
    ]
    for before, error, after in run_ranks(2, model_dir, plan, tmp_path):
        assert error.startswith("NonFiniteError: Loss nan")
        assert before == after
