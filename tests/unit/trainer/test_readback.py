"""Weights read back out of fused and packed layers, under the names that they were sent by."""

from types import SimpleNamespace

import pytest
import torch
from prorl_trainer.errors import WeightSyncError
from prorl_trainer.rollout.readback import read_tensors
from torch import Tensor, nn

HIDDEN = 6
SHAPES = {
    "model.embed_tokens.weight": [5, HIDDEN],
    "model.attn.q_proj.weight": [4, HIDDEN],
    "model.attn.k_proj.weight": [2, HIDDEN],
    "model.attn.v_proj.weight": [2, HIDDEN],
    "model.attn.q_proj.bias": [4],
    "model.attn.k_proj.bias": [2],
    "model.attn.v_proj.bias": [2],
    "model.norm.weight": [HIDDEN],
}


class Packed(nn.Module):
    """A layer as vLLM has it on a CPU: the weight is empty, the product remains."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.input_size = weight.shape[1]
        self.bias = nn.Parameter(torch.randn(weight.shape[0]), requires_grad=False)
        self.weight = nn.Parameter(torch.empty(0), requires_grad=False)
        self.cpu_linear = lambda x, _weight, bias: nn.functional.linear(x, weight, bias)


class Head(Packed):
    """As long as the padded vocabulary."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__(torch.cat([weight, torch.zeros(3, HIDDEN)]))


class Model(nn.Module):
    """Fused attention, and a head tied to the embedding with a copy of its own."""

    packed_modules_mapping = {"qkv_proj": ["q_proj", "k_proj", "v_proj"]}
    config = SimpleNamespace(tie_word_embeddings=True)

    def __init__(self, head: Tensor | None = None) -> None:
        super().__init__()
        self.qkv = torch.randn(8, HIDDEN)
        self.model = nn.Module()
        self.model.attn = nn.Module()
        self.model.attn.qkv_proj = Packed(self.qkv)
        self.model.embed_tokens = nn.Embedding(8, HIDDEN)
        self.model.norm = nn.LayerNorm(HIDDEN, bias=False)
        embedding = self.model.embed_tokens.weight.detach()[:5]
        self.lm_head = Head(embedding if head is None else head)


def test_fused_and_packed_matrices_come_back_bit_for_bit() -> None:
    model = Model()
    found = dict(read_tensors(model, SHAPES))
    assert {name: list(t.shape) for name, t in found.items() if name in SHAPES} == SHAPES
    for name, rows in {"q": slice(0, 4), "k": slice(4, 6), "v": slice(6, 8)}.items():
        assert torch.equal(found[f"model.attn.{name}_proj.weight"], model.qkv[rows])
        bias = model.model.attn.qkv_proj.bias[rows]
        assert torch.equal(found[f"model.attn.{name}_proj.bias"], bias)


def test_a_tied_head_is_read_from_its_own_copy() -> None:
    found = dict(read_tensors(Model(), SHAPES))
    assert torch.equal(found["lm_head.weight"], found["model.embed_tokens.weight"])
    stale = torch.randn(5, HIDDEN)
    assert torch.equal(dict(read_tensors(Model(stale), SHAPES))["lm_head.weight"], stale)


@pytest.mark.parametrize(
    ("name", "shape"), [("model.experts.0.w1.weight", [2, 2]), ("model.norm.weight", [7])]
)
def test_a_layout_that_is_not_known_is_said_so(name: str, shape: list[int]) -> None:
    with pytest.raises(WeightSyncError, match=rf"verifyWeights: {name} cannot be found in Model"):
        list(read_tensors(Model(), {name: shape}))
