"""A Hugging Face causal language model as a function from packed tokens to log-probs.

Legend: T packed tokens, M predicted tokens, D hidden size, V vocabulary.
"""

from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from transformers import AutoModelForCausalLM

from prorl_trainer.algo.head import TokenLoss, loss_of_tokens, predict
from prorl_trainer.errors import ModelError, one_line
from prorl_trainer.learn.attention import check_kernel, find_packing, use_packed_attention

CHECK_TOLERANCE = 1e-3
"""Nats. fp32 on a GPU differs by some 1e-5 between shapes; a real difference is above 0.01."""

HF_PREFIX = "hf."


class Prediction(NamedTuple):
    """Both [M], fp32, at the temperature. A tuple, because FSDP looks for tensors in the output."""

    logprobs: Tensor
    entropy: Tensor | None
    """In nats; None unless asked for."""
    loss: Tensor | None = None
    """A scalar, the only one with a gradient; None unless a token_loss was given."""


class Policy(nn.Module):
    """Log-probs of given tokens; [T, V] logits never exist."""

    def __init__(self, hf: Any) -> None:
        super().__init__()
        self.hf = hf

    def forward(  # noqa: PLR0913 - a packed microbatch is four tensors
        self,
        input_ids: Tensor,
        position_ids: Tensor,
        predict_index: Tensor,
        targets: Tensor,
        temperature: float,
        with_entropy: bool = False,
        token_loss: TokenLoss | None = None,
    ) -> Prediction:
        """input_ids, position_ids: [T] packed, positions restarting at 0 for each sequence;
        predict_index, targets: [M]. Log-probs and entropies have no gradient of their own: what is
        to be trained on is made of them by token_loss.

        Entropy makes the head's forward pass up to 1.3 times as dear, so it must be asked for."""
        # A mask or a cache would silently let packed sequences see each other.
        out = self.hf.model(
            input_ids=input_ids[None],
            position_ids=position_ids[None],
            attention_mask=None,
            use_cache=False,
            packing=find_packing(position_ids),
        )
        hidden = out.last_hidden_state[0].index_select(0, predict_index).float() / temperature
        weight = self.hf.lm_head.weight.float()
        if token_loss is None:
            return Prediction(*predict(hidden, weight, targets, with_entropy=with_entropy))
        loss, logprobs, entropy = loss_of_tokens(
            hidden, weight, targets, token_loss, with_entropy=with_entropy
        )
        return Prediction(logprobs, entropy, loss)


def load_policy(model_dir: Path, device: torch.device) -> Policy:
    """Loads full-precision weights from a local directory, dropout off. Raises ModelError."""
    try:
        hf, report = AutoModelForCausalLM.from_pretrained(
            model_dir,
            local_files_only=True,
            trust_remote_code=False,
            dtype=torch.float32,
            output_loading_info=True,
        )
    except Exception as error:  # each of the parsers behind it raises what it likes
        raise ModelError(f"The model in {model_dir} cannot be loaded: {one_line(error)}") from error
    missing = sorted(report["missing_keys"])
    if missing:  # it would be given random ones
        raise ModelError(
            f"The model in {model_dir} lacks {len(missing)} tensors, the first is {missing[0]}."
        )
    policy = Policy(hf).to(device).eval()
    check_policy(policy, device)
    if device.type == "cuda":
        check_kernel(device)
    return policy


@torch.no_grad()
def check_policy(policy: Policy, device: torch.device) -> None:
    """Gives the model the attention for packed sequences. Raises ModelError unless two of them then
    get the log-probs that the model itself, with its own attention, gives to each alone: catches
    heads with a bias, a scale or a soft cap, and leaks between sequences."""
    if not (hasattr(policy.hf, "model") and hasattr(policy.hf, "lm_head")):
        raise ModelError(
            f"{type(policy.hf).__name__} is not supported: it has no `model` and `lm_head`."
        )
    vocabulary = policy.hf.lm_head.weight.shape[0]
    parts = [(torch.arange(n, device=device) * 7 + 3) % vocabulary for n in (5, 4)]
    alone = []
    for part in parts:
        logits = policy.hf(input_ids=part[None], use_cache=False).logits[0, :-1].float()
        alone.append(torch.log_softmax(logits, -1).gather(1, part[1:, None])[:, 0])
    use_packed_attention(policy.hf)
    ids = torch.cat(parts)
    positions = torch.cat([torch.arange(len(part), device=device) for part in parts])
    predict = torch.tensor([0, 1, 2, 3, 5, 6, 7], device=device)
    packed = policy(ids, positions, predict, ids[predict + 1], 1.0).logprobs
    difference = float((packed - torch.cat(alone)).abs().max())
    if not difference <= CHECK_TOLERANCE:
        raise ModelError(
            f"{type(policy.hf).__name__} is not supported: packed log-probs differ from the "
            f"model's own by {difference:.2e}, more than {CHECK_TOLERANCE}."
        )


def full(tensor: Tensor) -> Tensor:
    """The whole tensor; a collective on all ranks if it is sharded."""
    whole: Tensor = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
    return whole.detach()
