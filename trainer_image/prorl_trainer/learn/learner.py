"""One learner rank: policy, frozen reference, optimizer. group.py makes it an actor."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from prorl_api.spec_roles import Precision
from torch import Tensor
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict

from prorl_trainer.checkpoint.manifest import REFERENCE
from prorl_trainer.errors import ConfigError
from prorl_trainer.learn.digest import digest
from prorl_trainer.learn.layout import checkpoint_activations, shard
from prorl_trainer.learn.optimizer import clear_state, make_optimizer
from prorl_trainer.learn.policy import HF_PREFIX, full, load_policy
from prorl_trainer.learn.shards import parts_of, read_shards, write_shards
from prorl_trainer.learn.staging import Staging
from prorl_trainer.learn.step import Networks, run_step
from prorl_trainer.learn.weights import Outlet
from prorl_trainer.rollout.backend import Announcement, Channel
from prorl_trainer.types import ShardFiles, TrainingBatch, UpdateResult, UpdateSettings

COLLECTIVE_TIMEOUT = timedelta(minutes=10)


@dataclass(frozen=True, kw_only=True, slots=True)
class RankSettings:
    """What one rank needs to start."""

    rank: int
    world_size: int
    master_address: str
    master_port: int
    model_dir: str
    seed: int
    device: str
    """`cpu`, or `cuda` for the GPU that Ray has made visible."""
    precision: Precision = Precision.FP32
    activation_checkpointing: bool = False


class DistributedRanks:
    """step.Ranks over torch.distributed; world size 1 needs no process group."""

    def __init__(self, rank: int, world_size: int, device: torch.device) -> None:
        self.rank = rank
        self.world_size = world_size
        self._device = device

    def all_reduce_sum(self, values: Tensor) -> Tensor:
        """Sum over ranks, on the CPU."""
        return self._reduce(values, dist.ReduceOp.SUM)

    def all_reduce_max(self, values: Tensor) -> Tensor:
        """Maximum over ranks, on the CPU."""
        return self._reduce(values, dist.ReduceOp.MAX)

    def _reduce(self, values: Tensor, op: Any) -> Tensor:
        if self.world_size == 1:
            return values
        moved = values.clone().to(self._device)
        dist.all_reduce(moved, op=op)
        return moved.cpu()


class Learner:
    """One rank. All ranks call the same methods in the same order."""

    def __init__(self, settings: RankSettings) -> None:
        self._settings = settings
        if settings.device == "cpu":
            torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
        torch.manual_seed(settings.seed)
        self._device = torch.device(settings.device)
        self._join()
        self._ranks = DistributedRanks(settings.rank, settings.world_size, self._device)
        model_dir = Path(settings.model_dir)
        self._policy = load_policy(model_dir, self._device)
        self._reference = load_policy(model_dir, self._device).requires_grad_(False).eval()
        if settings.activation_checkpointing:
            checkpoint_activations(self._policy)
        for model in (self._policy, self._reference):
            shard(model, settings.world_size, self._device, settings.precision)
        self._optimizer = make_optimizer(self._policy)
        self._networks = Networks(
            policy=self._policy, reference=self._reference, optimizer=self._optimizer
        )
        self._outlet = Outlet(settings.rank, self.named_weights, self.weight_shapes)
        self._staging = Staging()
        self._optimizer.register_step_pre_hook(self._before_change)
        self._reference_is_staged = False

    def _join(self) -> None:
        s = self._settings
        self._writers: dist.ProcessGroup | None = None
        backends = "cpu:gloo" if s.device == "cpu" else "cpu:gloo,cuda:nccl"
        if s.world_size == 1:
            if s.precision is Precision.BF16 and not dist.is_initialized():
                # FSDP wants a process group, even of one.
                dist.init_process_group(backends, store=dist.HashStore(), rank=0, world_size=1)
            return
        dist.init_process_group(
            backends,
            init_method=f"tcp://{s.master_address}:{s.master_port}",
            rank=s.rank,
            world_size=s.world_size,
            timeout=COLLECTIVE_TIMEOUT,
        )
        # A checkpoint is written while an update runs: their collectives must not meet.
        self._writers = dist.new_group(backend="gloo", timeout=COLLECTIVE_TIMEOUT)

    def update(self, batch: TrainingBatch, settings: UpdateSettings) -> UpdateResult:
        """One RL step. Raises NonFiniteError."""
        metrics = run_step(self._networks, batch, settings, self._ranks)
        return UpdateResult(metrics=metrics)

    def reset_reference(self, source: str | None = None, clear_optimizer: bool = False) -> None:
        """See protocols.LearnerGroup; shard by shard, so no rank ever holds a whole model."""
        self._before_change()
        weights = self._policy.state_dict()
        if source is not None:
            # Not into the reference itself: a load that fails has already written a part.
            weights = {name: torch.empty_like(tensor) for name, tensor in weights.items()}
            read_shards({"policy": weights}, source, alone=self._alone)
        self._reference_is_staged = False
        self._reference.load_state_dict(weights)
        if clear_optimizer:
            clear_state(self._optimizer)

    def stage(self) -> None:
        """Begins to copy this rank's shards into host memory, for write; whatever changes them
        waits for that.

        There is no random state: dropout is off, and engines draw from seeds of their requests.
        """
        state = self._state()
        if self._reference_is_staged:
            del state["reference"]  # a quarter of all bytes, and only a reset changes it
        self._staging.begin(state)
        self._reference_is_staged = True

    def _before_change(self, *_: object) -> None:
        self._staging.whole()

    def write(self, place: str, reference: bool = True) -> ShardFiles:
        """Writes what was staged, the reference or not; every file is durable then. It may run in
        another thread while anything else but stage is called. Raises StorageError."""
        parts = parts_of(self._staging.whole())
        if not reference:
            del parts[REFERENCE]
        return write_shards(parts, place, self._writers)

    def load(self, place: str) -> None:
        """Loads what write wrote, from any number of ranks. Raises CheckpointError."""
        self._before_change()
        state = self._state()
        for name, part in parts_of(state).items():
            read_shards(part, f"{place}/{name}".rstrip("/"), alone=self._alone)
        set_state_dict(
            self._policy,
            self._optimizer,
            model_state_dict=state["policy"],
            optim_state_dict=state["optimizer"],
        )
        self._reference_is_staged = False
        self._reference.load_state_dict(state["reference"])

    def _state(self) -> dict[str, Any]:
        model, optimizer = get_state_dict(self._policy, self._optimizer)
        return {"policy": model, "optimizer": optimizer, "reference": self._reference.state_dict()}

    @property
    def _alone(self) -> bool:
        return self._settings.world_size == 1

    def open_weight_channel(self, channel: Channel) -> None:
        """Waits for the engine workers. Raises WeightSyncError."""
        self._outlet.open(channel)

    def announce_weights(self) -> Announcement:
        """See weights.Outlet."""
        return self._outlet.announce()

    def send_weights(self) -> None:
        """See weights.Outlet. Raises WeightSyncError."""
        self._outlet.send()

    def weight_checksums(self) -> dict[str, str]:
        """See weights.Outlet."""
        return self._outlet.checksums()

    def release_weights(self) -> None:
        """See weights.Outlet."""
        self._outlet.release()

    def weight_shapes(self) -> list[tuple[str, list[int]]]:
        """Names (as Hugging Face has them) and whole shapes, in the order of sending."""
        return [
            (name.removeprefix(HF_PREFIX), list(parameter.shape))
            for name, parameter in self._policy.named_parameters()
        ]

    def named_weights(
        self, dtype: torch.dtype = torch.float32, device: str | None = "cpu"
    ) -> Iterator[tuple[str, Tensor]]:
        """Full tensors, on the learner's device with None; a collective on all ranks. A tied head
        does not appear."""
        for name, parameter in self._policy.named_parameters():
            tensor = full(parameter).detach().to(device=device or parameter.device, dtype=dtype)
            yield name.removeprefix(HF_PREFIX), tensor.contiguous()

    def state_digest(self) -> str:
        """sha256 over policy, optimizer and reference: equal iff the state is bit-equal."""
        return digest(self._state())

    def close(self) -> None:
        """Leaves the process group."""
        self._outlet.close()
        if dist.is_initialized():
            dist.destroy_process_group()


def pick_device(num_gpus: int) -> str:
    """Raises ConfigError if GPUs were asked for and torch sees none."""
    if num_gpus and not torch.cuda.is_available():
        raise ConfigError(f"trainer.gpusPerReplica is {num_gpus}, but torch sees no GPU here.")
    return "cuda" if num_gpus else "cpu"
