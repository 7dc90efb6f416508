"""A Hugging Face causal language model as a function from packed tokens to log-probs.

Legend: T packed tokens, M predicted tokens, D hidden size, V vocabulary.
"""

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from transformers import AutoModelForCausalLM

from prorl_trainer.errors import ModelError

VOCABULARY_CHUNK = 256
"""Rows of logits that exist at once; the "auto" heuristic of torch is slow at small D."""

HF_PREFIX = "hf."


class Policy(nn.Module):
    """Log-probs of given tokens; [T, V] logits never exist."""

    def __init__(self, hf: Any) -> None:
        super().__init__()
        self.hf = hf

    def forward(
        self,
        input_ids: Tensor,
        position_ids: Tensor,
        predict_index: Tensor,
        targets: Tensor,
        temperature: float,
    ) -> Tensor:
        """input_ids, position_ids: [T] packed, positions restarting at 0 for each sequence;
        predict_index, targets: [M]. Returns log-probs [M], fp32, at the temperature."""
        # A mask or a cache would silently let packed sequences see each other.
        out = self.hf.model(
            input_ids=input_ids[None],
            position_ids=position_ids[None],
            attention_mask=None,
            use_cache=False,
        )
        hidden = out.last_hidden_state[0].index_select(0, predict_index).float() / temperature
        weight = self.hf.lm_head.weight.float()
        options = nn.LinearCrossEntropyOptions(
            chunking_method=None, batch_chunk_size=VOCABULARY_CHUNK
        )
        loss: Tensor = F.linear_cross_entropy(
            hidden, weight, targets, reduction="none", options=options
        )
        return -loss


def load_policy(model_dir: Path, device: torch.device) -> Policy:
    """Loads full-precision weights from a local directory. Raises ModelError."""
    try:
        hf = AutoModelForCausalLM.from_pretrained(
            model_dir, local_files_only=True, trust_remote_code=False, dtype=torch.float32
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ModelError(f"The model in {model_dir} cannot be loaded: {error}") from error
    return Policy(hf).to(device)


def shard(policy: Policy, world_size: int, device: torch.device) -> None:
    """FSDP2 over all ranks, layer by layer; nothing to do for one rank."""
    if world_size == 1:
        return
    mesh = init_device_mesh(device.type, (world_size,))
    for layer in policy.hf.model.layers:
        fully_shard(layer, mesh=mesh)
    fully_shard(policy, mesh=mesh)


def full(tensor: Tensor) -> Tensor:
    """The whole tensor; a collective on all ranks if it is sharded."""
    whole: Tensor = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
    return whole.detach()
