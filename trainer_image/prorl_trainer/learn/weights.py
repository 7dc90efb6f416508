"""The learner's end of the weight channel, behind one interface for all backends.

gloo is here; the ends of vLLM's own backends are in rollout/gpu_weights.py.
"""

import hashlib
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Protocol

import torch
import torch.distributed as dist
from torch import Tensor

from prorl_trainer.errors import WeightSyncError
from prorl_trainer.rollout.backend import Announcement, Backend, Channel, Handles

CHANNEL_TIMEOUT = timedelta(seconds=120)

NamedWeights = Iterator[tuple[str, Tensor]]


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


def checksum(tensor: Tensor) -> str:
    """sha256 of the tensor's bytes."""
    data = tensor.detach().cpu().contiguous().view(-1).view(torch.uint8)
    return hashlib.sha256(data.numpy().tobytes()).hexdigest()


class Sender(Protocol):
    """A backend's end at one learner rank."""

    device: str
    """Where it wants the tensors."""

    def export(self, weights: NamedWeights) -> list[Handles] | None:
        """Handles that engines copy from, or None where tensors are sent."""
        ...

    def send(self, weights: NamedWeights) -> None:
        """Sends all tensors. Raises RuntimeError; the channel must then be opened anew."""
        ...

    def release(self) -> None:
        """Frees what was exported: the update is finished."""
        ...

    def close(self) -> None:
        """Drops the connections."""
        ...


class GlooSender:
    """Rank 0 of a gloo group."""

    device = "cpu"

    def __init__(self, channel: Channel) -> None:
        """Waits for the engine workers. Raises RuntimeError, DistError."""
        self._group, self._store = join_channel(channel.host, channel.port, 0, channel.world_size)

    def export(self, weights: NamedWeights) -> None:
        """Nothing."""

    def send(self, weights: NamedWeights) -> None:
        """One broadcast a tensor."""
        for _, tensor in weights:
            broadcast(self._group, tensor)

    def release(self) -> None:
        """Nothing."""

    def close(self) -> None:
        """Drops the connections."""
        del self._group, self._store


def open_sender(channel: Channel, rank: int) -> Sender | None:
    """This rank's end; None where only rank 0 sends. Raises WeightSyncError."""
    try:
        if channel.backend is Backend.IPC:
            from prorl_trainer.rollout.gpu_weights import IpcSender

            return IpcSender()
        if rank != 0:
            return None
        if channel.backend is Backend.NCCL:
            from prorl_trainer.rollout.gpu_weights import NcclSender

            return NcclSender(channel)
        return GlooSender(channel)
    except (RuntimeError, dist.DistError) as error:
        raise WeightSyncError(
            f"The weight channel {channel.host}:{channel.port} for {channel.world_size - 1} engine "
            f"workers could not be opened: {error}"
        ) from error


class Outlet:
    """A rank's weights on their way out. All ranks call the same methods in the same order: reading
    a weight gathers it from all of them."""

    def __init__(
        self,
        rank: int,
        weights: Callable[[torch.dtype, str | None], NamedWeights],
        shapes: Callable[[], list[tuple[str, list[int]]]],
    ) -> None:
        """weights(dtype, device) reads all of them, in the order of shapes(); device None leaves
        each where it is."""
        self._rank = rank
        self._weights = weights
        self._shapes = shapes
        self._dtype = "float32"
        self._sender: Sender | None = None

    def open(self, channel: Channel) -> None:
        """Waits for the engine workers. Raises WeightSyncError."""
        self.close()
        self._dtype = channel.dtype
        self._sender = open_sender(channel, self._rank)

    def announce(self) -> Announcement:
        """What the next update will bring."""
        rows = self._shapes()
        handles = None if self._sender is None else self._sender.export(self._read())
        return Announcement(
            names=[name for name, _ in rows],
            dtypes=[self._dtype] * len(rows),
            shapes=[shape for _, shape in rows],
            handles=handles,
        )

    def send(self) -> None:
        """Sends all weights. Raises WeightSyncError.

        A sender that fails has not read everything. The rest is read all the same: the other ranks
        do so, and their gathering must not meet that of the next attempt.
        """
        weights = self._read()
        try:
            if self._sender is not None:
                self._sender.send(weights)
        except RuntimeError as error:
            raise WeightSyncError(f"Sending weights failed: {error}") from error
        finally:
            for _ in weights:
                pass

    def checksums(self) -> dict[str, str]:
        """Name -> sha256 as it is sent; empty but on rank 0."""
        pairs = self._read()
        return {name: checksum(tensor) for name, tensor in pairs if self._rank == 0}

    def release(self) -> None:
        """The update is finished, in all engines."""
        if self._sender is not None:
            self._sender.release()

    def close(self) -> None:
        """Leaves the channel."""
        if self._sender is not None:
            self._sender.close()
            self._sender = None

    def _read(self) -> NamedWeights:
        device = None if self._sender is None else self._sender.device
        return self._weights(getattr(torch, self._dtype), device)
