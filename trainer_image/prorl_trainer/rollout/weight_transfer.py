"""A CPU backend of ours for vLLM's native weight-transfer session: one gloo broadcast a tensor.

Lives in vLLM's worker process, where `Extension` registers it (vLLM imports the module named by
worker_extension_cls there). The learner's end is learn/weights.py.
"""

from dataclasses import dataclass, field
from typing import Any

import torch
from vllm.distributed.weight_transfer.base import (
    WeightTransferEngine,
    WeightTransferInitInfo,
    WeightTransferUpdateInfo,
)
from vllm.distributed.weight_transfer.factory import WeightTransferEngineFactory
from vllm.model_executor.model_loader.reload import (
    finalize_layerwise_reload,
    initialize_layerwise_reload,
)

from prorl_trainer.learn.weights import broadcast, checksum, join_channel
from prorl_trainer.rollout.backend import EMBEDDING, HEAD, Backend
from prorl_trainer.rollout.readback import read_tensors

BACKEND = Backend.GLOO.value


@dataclass
class GlooInitInfo(WeightTransferInitInfo):
    """The channel that the learner has opened; this worker's rank in it is at least 1."""

    host: str = ""
    port: int = 0
    world_size: int = 2
    rank: int = 1


@dataclass
class GlooUpdateInfo(WeightTransferUpdateInfo):
    """All tensors of one update, in the order of sending."""

    names: list[str] = field(default_factory=list)
    dtype_names: list[str] = field(default_factory=list)
    shapes: list[list[int]] = field(default_factory=list)


class GlooWeightTransfer(WeightTransferEngine[GlooInitInfo, GlooUpdateInfo]):
    """Receives into fresh tensors and hands each to the model's own loader."""

    init_info_cls = GlooInitInfo
    update_info_cls = GlooUpdateInfo
    supports_draft_weight_update = False
    _group = None
    _store = None

    def init_transfer_engine(self, init_info: GlooInitInfo) -> None:
        """Joins the channel; a former one is dropped."""
        self._group, self._store = join_channel(
            init_info.host, init_info.port, init_info.rank, init_info.world_size
        )

    def start_weight_update(self) -> None:
        """Puts the layers into loading state; they are unusable until finish_weight_update."""
        initialize_layerwise_reload(self.model)

    def receive_weights(self, update_info: GlooUpdateInfo) -> None:
        """Raises RuntimeError when the learner is gone or late."""
        if self._group is None:
            raise RuntimeError("the weight channel was not opened")
        rows = zip(update_info.names, update_info.dtype_names, update_info.shapes, strict=True)
        for name, dtype, shape in rows:
            tensor = torch.empty(shape, dtype=getattr(torch, dtype))
            broadcast(self._group, tensor)
            self.model.load_weights([(name, tensor)])
            if name == EMBEDDING and self.model.config.tie_word_embeddings:
                self._load_tied_head(tensor)

    def _load_tied_head(self, tensor: torch.Tensor) -> None:
        """A tied head has no weights of its own in the update, and the reload unties it: without
        this it would keep the old ones (its packed copy, on CPUs), and nobody would notice."""
        head = self.model.lm_head.weight
        head.weight_loader(head, tensor)

    def finish_weight_update(self) -> None:
        """Makes the layers usable again."""
        finalize_layerwise_reload(self.model, self.model_config)

    def shutdown(self) -> None:
        """Drops the connections."""
        self._group = self._store = None


class Extension:
    """Mixed into vLLM's worker; importing this module registers the backend in its process."""

    model_runner: Any

    def prorl_checksums(
        self, names: list[str], dtype_names: list[str], shapes: list[list[int]]
    ) -> dict[str, str]:
        """Name -> sha256 of the weights that the worker computes with. Raises WeightSyncError."""
        model = self.model_runner.get_model()
        dtypes = dict(zip(names, dtype_names, strict=True))
        dtypes.setdefault(HEAD, dtypes.get(EMBEDDING, ""))
        return {
            name: checksum(tensor.to(getattr(torch, dtypes[name])))
            for name, tensor in read_tensors(model, dict(zip(names, shapes, strict=True)))
        }


if BACKEND not in WeightTransferEngineFactory._registry:
    WeightTransferEngineFactory.register_engine(BACKEND, GlooWeightTransfer)
