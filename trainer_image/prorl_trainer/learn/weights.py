"""The learner's end of the weight channel: rank 0 broadcasts to all engine workers over gloo.

NCCL would take this place on GPUs; not exercised on a GPU.
"""

from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor

from prorl_trainer.errors import WeightSyncError

CHANNEL_TIMEOUT = timedelta(seconds=120)


def join_channel(
    host: str, port: int, rank: int, world_size: int
) -> tuple[dist.ProcessGroupGloo, dist.TCPStore]:
    """A process group of its own, beside the global one. Rank 0, the learner, serves the store.

    The store must be kept as long as the group.
    """
    store = dist.TCPStore(
        host, port, world_size, rank == 0, CHANNEL_TIMEOUT, wait_for_workers=False
    )
    prefixed = dist.PrefixStore("weights", store)
    return dist.ProcessGroupGloo(prefixed, rank, world_size, CHANNEL_TIMEOUT), store


def broadcast(group: dist.ProcessGroupGloo, tensor: Tensor) -> None:
    """In place, from rank 0. Raises RuntimeError when a member is gone or late."""
    options = dist.BroadcastOptions()
    options.rootRank = 0
    group.broadcast([tensor], options).wait()  # type: ignore[attr-defined]


class WeightSender:
    """Rank 0 of the channel."""

    def __init__(self, host: str, port: int, world_size: int) -> None:
        try:
            self._group, self._store = join_channel(host, port, 0, world_size)
        except (RuntimeError, dist.DistError) as error:
            raise WeightSyncError(
                f"The weight channel {host}:{port} for {world_size - 1} engine workers could not "
                f"be opened: {error}"
            ) from error

    def send(self, tensor: Tensor) -> None:
        """Raises WeightSyncError; the channel must then be opened anew."""
        try:
            broadcast(self._group, tensor.to(torch.float32))
        except RuntimeError as error:
            raise WeightSyncError(f"Sending weights failed: {error}") from error

    def close(self) -> None:
        """Drops the connections."""
        del self._group, self._store
