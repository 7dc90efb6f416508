"""One learner rank in a process of its own, driven by a plan on stdin; results go to a file.

The plan is a pickled list of (method, arguments); the results are a list of the same length.
"""

import os
import pickle
import sys
from pathlib import Path
from typing import Any, TypeVar

os.environ["OMP_NUM_THREADS"] = "1"

import torch
from prorl_trainer.errors import TrainingError
from prorl_trainer.learn.digest import digest
from prorl_trainer.learn.learner import Learner, RankSettings
from prorl_trainer.learn.policy import full
from prorl_trainer.types import ShardFiles
from torch import Tensor

T = TypeVar("T")


class Recording(Learner):
    """A learner that can be asked for what it holds, whole tensors."""

    def gradients(self) -> dict[str, Tensor]:
        """Gradients of the last update."""
        found = {}
        for name, parameter in self._policy.named_parameters():
            assert parameter.grad is not None
            found[name] = full(parameter.grad).clone()
        return found

    def weights(self) -> dict[str, Tensor]:
        """Weights by Hugging Face name."""
        return {name: tensor.clone() for name, tensor in self.named_weights()}

    def save(self, place: str) -> ShardFiles:
        """Both halves of a save."""
        self.stage()
        return self.write(place)

    def stage_with(self, more: T) -> T:
        """The next write has this to write too."""
        self.stage()
        self._staging.whole()["more"] = more
        return more

    def parts(self) -> dict[str, str]:
        """A digest each of policy, optimizer and reference."""
        return {name: digest(state) for name, state in self._state().items()}

    def error_of(self, method: str, *arguments: Any) -> str:
        """Class and message of what the method raises."""
        try:
            getattr(self, method)(*arguments)
        except TrainingError as error:
            return f"{type(error).__name__}: {error}"
        return "no error"

    def perform(self, plan: list[tuple[str, tuple[Any, ...]]]) -> list[Any]:
        """One result per entry of the plan."""
        return [getattr(self, method)(*arguments) for method, arguments in plan]


def make_learner(model_dir: Path) -> Recording:
    """The only rank, in this process, on the CPU."""
    return Recording(
        RankSettings(
            rank=0, world_size=1, master_address="", master_port=0,
            model_dir=str(model_dir), seed=0, device="cpu",
        )
    )  # fmt: skip


def main() -> None:
    """On stdin: RankSettings, plan and path of the results, pickled."""
    settings, plan, result_path = pickle.load(sys.stdin.buffer)
    assert isinstance(settings, RankSettings)
    learner = Recording(settings)
    torch.save(learner.perform(plan), result_path)
    learner.close()


if __name__ == "__main__":
    main()
