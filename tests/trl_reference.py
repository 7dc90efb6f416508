"""TRL's GRPOTrainer as it is installed, with a scripted rollout in place of a sampled one.

Everything from the rollout to the loss is TRL's own code: padding, advantages, log-probs,
importance sampling, KL, clipping and reduction. B sequences of at most T tokens.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from prorl_trainer.model.tiny import build_tokenizer
from prorl_trainer.types import TrainingSequence
from torch import Tensor
from transformers import AutoModelForCausalLM
from trl import GRPOConfig, GRPOTrainer


class ScriptedTrainer(GRPOTrainer):  # type: ignore[misc]
    """Takes sequences and rewards from a script; on request log-probs too."""

    script: Sequence[TrainingSequence] = ()
    logprobs: Tensor | None = None
    """[B, T] in place of the model's, for the loss."""

    def _generate(self, prompts: list[Any]) -> tuple[Any, ...]:
        rows = self.script
        return (
            [list(s.prompt_token_ids) for s in rows],
            [list(s.response_token_ids) for s in rows],
            [[int(m) for m in s.mask] for s in rows],
            [""] * len(rows),
            [list(s.rollout_logprobs) for s in rows],
            {}, None, [],
        )  # fmt: skip

    def _calculate_rewards(self, *_: Any) -> Tensor:
        return torch.tensor([[s.reward] for s in self.script])

    def _get_per_token_logps_and_entropies(self, *arguments: Any, **named: Any) -> Any:
        if self.logprobs is None:
            return super()._get_per_token_logps_and_entropies(*arguments, **named)
        return self.logprobs, torch.zeros_like(self.logprobs), None

    def rollout(self, sequences: Sequence[TrainingSequence]) -> dict[str, Tensor]:
        """TRL's padded tensors, with advantages and weights, for groups of equal size in order."""
        self.script = sequences
        found: dict[str, Tensor] = self._generate_and_score_completions(
            [{"prompt": ""} for _ in sequences]
        )
        return found

    def loss(self, inputs: dict[str, Tensor]) -> Tensor:
        """TRL's loss of the tensors; differentiable."""
        found: Tensor = self.compute_loss(self.model, inputs)
        return found


def build_trainer(model_dir: Path, *, samples: int, batch: int, **config: Any) -> ScriptedTrainer:
    """A trainer for batches of `batch` sequences in groups of `samples`, on the CPU in fp32. It
    corrects for the sampler whenever the configuration names a mode."""
    arguments = GRPOConfig(
        output_dir=str(model_dir / "trl"), use_cpu=True, report_to=[], bf16=False,
        per_device_train_batch_size=batch, num_generations=samples, disable_tqdm=True, **config,
    )  # fmt: skip
    trainer = ScriptedTrainer(
        model=AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32),
        processing_class=build_tokenizer(),  # only its special tokens are read
        reward_funcs=lambda **_: [],
        args=arguments,
        train_dataset=Dataset.from_dict({"prompt": [""] * batch}),
    )
    trainer.current_gradient_accumulation_steps = 1
    trainer.model.eval()
    # Set afterwards: the constructor would look for a vLLM server.
    trainer.use_vllm = "vllm_importance_sampling_mode" in config
    return trainer
