"""The same plan on one learner rank, and on two over gloo in processes of their own."""

import pickle
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import learner_rank
import torch
from learner_rank import Recording
from prorl_trainer.learn.learner import RankSettings

TOLERANCE = 2e-6
"""fp32 sums in another order; gradients here are of order 1."""
ROOT = Path(__file__).parents[1]

Plan = list[tuple[str, tuple[Any, ...]]]


def rank_settings(
    model_dir: Path, rank: int, world_size: int, port: int, **options: Any
) -> RankSettings:
    return RankSettings(
        rank=rank, world_size=world_size, master_address="127.0.0.1", master_port=port,
        model_dir=str(model_dir), seed=0, device="cpu", **options,
    )  # fmt: skip


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def run_one(model_dir: Path, plan: Plan, **options: Any) -> list[Any]:
    """Results of the plan on one rank, in this process. Options: of RankSettings."""
    learner = Recording(rank_settings(model_dir, 0, 1, 0, **options))
    try:
        return learner.perform(plan)
    finally:
        learner.close()


def run_two(model_dir: Path, plan: Plan, directory: Path, **options: Any) -> list[list[Any]]:
    """Results of the plan on each of two new processes. Options: of RankSettings."""
    port = free_port()
    paths = [directory / f"result-{rank}.pt" for rank in range(2)]
    processes = []
    for rank, path in enumerate(paths):
        process = subprocess.Popen(
            [sys.executable, learner_rank.__file__],
            stdin=subprocess.PIPE,
            env={"PYTHONPATH": f"{ROOT / 'trainer_image'}:{ROOT / 'crds'}"},
        )
        assert process.stdin is not None
        settings = rank_settings(model_dir, rank, 2, port, **options)
        process.stdin.write(pickle.dumps((settings, plan, str(path))))
        process.stdin.close()
        processes.append(process)
    codes = [process.wait(timeout=240) for process in processes]
    assert codes == [0, 0]
    return [torch.load(path, weights_only=False) for path in paths]
