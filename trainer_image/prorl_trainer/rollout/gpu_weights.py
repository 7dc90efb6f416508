"""The learner's ends of vLLM's own GPU backends. Not exercised on a GPU.

Thin: what the engine does at the other end is vLLM's (nccl_engine.py, ipc_engine.py there).
"""

from typing import Any

import torch
from torch.multiprocessing.reductions import reduce_tensor
from vllm.distributed.weight_transfer.nccl_common import trainer_init
from vllm.distributed.weight_transfer.packed_tensor import packed_nccl_broadcast_producer

from prorl_trainer.learn.weights import NamedWeights
from prorl_trainer.rollout.backend import Channel, Handles


class NcclSender:
    """Rank 0 of a NCCL group of its own; tensors go in packed buffers."""

    device = "cuda"

    def __init__(self, channel: Channel) -> None:
        """Waits for the engine workers."""
        address = {
            "master_address": channel.host,
            "master_port": channel.port,
            "world_size": channel.world_size,
        }
        self._group: Any = trainer_init(address)

    def export(self, weights: NamedWeights) -> None:
        """Nothing."""

    def send(self, weights: NamedWeights) -> None:
        """NCCL knows no timeout: the driver ends this process when the session takes too long."""
        packed_nccl_broadcast_producer(
            weights, self._group, src=0, post_iter_func=lambda pair: pair[1]
        )
        torch.cuda.synchronize()

    def release(self) -> None:
        """Nothing."""

    def close(self) -> None:
        """Leaves the group."""
        self._group.destroy()


class IpcSender:
    """Each rank exports to the engine on its own GPU; the driver carries the handles."""

    device = "cuda"

    def __init__(self) -> None:
        self._kept: list[torch.Tensor] = []

    def export(self, weights: NamedWeights) -> list[Handles]:
        """The handles do not keep the memory alive; release does not come before the engine has
        copied everything."""
        uuid = str(torch.cuda.get_device_properties(torch.cuda.current_device()).uuid)
        self._kept = [tensor for _, tensor in weights]
        return [{uuid: reduce_tensor(tensor)[1]} for tensor in self._kept]

    def send(self, weights: NamedWeights) -> None:
        """Nothing: engines copy."""

    def release(self) -> None:
        """Frees the copies."""
        self._kept = []
        torch.cuda.ipc_collect()

    def close(self) -> None:
        """Frees the copies."""
        self.release()
