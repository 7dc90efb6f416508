"""One learner rank in a process of its own, driven by a plan on stdin; results go to a file.

The plan is a pickled list of (method, arguments); `update` and `digest` leave a result each.
"""

import os
import pickle
import sys
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import torch
from prorl_trainer.errors import TrainingError
from prorl_trainer.learn.learner import Learner, RankSettings
from prorl_trainer.learn.policy import full


class Recording(Learner):
    """A learner whose parameters and gradients can be asked for whole."""

    def gradients(self) -> dict[str, torch.Tensor]:
        """Unclipped gradients of the last update."""
        return {
            name: full(parameter.grad).clone()
            for name, parameter in self._policy.named_parameters()
        }

    def update_error(self, *arguments: Any) -> str:
        """Class and message of what update raises."""
        try:
            self.update(*arguments)
        except TrainingError as error:
            return f"{type(error).__name__}: {error}"
        return "no error"

    def weights(self) -> dict[str, torch.Tensor]:
        """Full weights by Hugging Face name."""
        return {name: tensor.clone() for name, tensor in self.named_weights()}


def main() -> None:
    """Arguments: a RankSettings, plan and result path, pickled on stdin."""
    settings, plan, result_path = pickle.load(sys.stdin.buffer)
    assert isinstance(settings, RankSettings)
    learner = Recording(settings)
    results: list[Any] = [getattr(learner, method)(*arguments) for method, arguments in plan]
    torch.save(results, result_path)
    learner.close()


if __name__ == "__main__":
    main()
