"""The policy inside a checkpoint's shards: its tensors by Hugging Face name, one at a time."""

from pathlib import Path

import torch
import torch.distributed.checkpoint as dcp
from torch import Tensor
from torch.distributed.checkpoint.metadata import TensorStorageMetadata
from transformers import AutoConfig, AutoModelForCausalLM

from prorl_trainer.errors import CheckpointError, ModelError, one_line
from prorl_trainer.learn.policy import HF_PREFIX
from prorl_trainer.learn.shards import FAULTS, shard_reader

POLICY = "policy"
PREFIX = f"{POLICY}.{HF_PREFIX}"
"""Of the policy's tensors in the shards (prorl_trainer.learn.learner)."""


def parameter_shapes(model_dir: Path) -> dict[str, list[int]]:
    """Name -> shape of the model's parameters in its own order; a tied head does not appear.
    Raises ModelError. No weight is read."""
    try:
        config = AutoConfig.from_pretrained(model_dir, local_files_only=True)
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    except Exception as error:  # each of the parsers behind it raises what it likes
        raise ModelError(f"The model in {model_dir} cannot be read: {one_line(error)}") from error
    return {name: list(parameter.shape) for name, parameter in model.named_parameters()}


class PolicyWeights:
    """Reads from the shards of any number of ranks, without a process group."""

    def __init__(self, shards: str, model_dir: Path) -> None:
        """Raises CheckpointError where the shards are not those of this model."""
        self._shards = shards
        self.shapes = parameter_shapes(model_dir)
        stored = _stored_shapes(shards)
        for name, shape in self.shapes.items():
            if stored.get(name) != shape:
                raise CheckpointError(
                    f"The shards in {shards} are not of the model in {model_dir}: {name} has shape "
                    f"{stored.get(name)} there, must have {shape}."
                )

    def read(self, name: str) -> Tensor:
        """The whole tensor, fp32, on the CPU. Raises CheckpointError."""
        tensor = torch.empty(self.shapes[name], dtype=torch.float32)
        _load(self._shards, {POLICY: {f"{HF_PREFIX}{name}": tensor}})
        return tensor


def _load(shards: str, state: dict[str, dict[str, Tensor]]) -> None:
    try:
        dcp.load(state, storage_reader=shard_reader(shards), no_dist=True)
    except FAULTS as error:
        raise CheckpointError(f"The shards in {shards} cannot be read: {error}") from error


def _stored_shapes(shards: str) -> dict[str, list[int]]:
    try:
        metadata = shard_reader(shards).read_metadata()
    except OSError as error:
        raise CheckpointError(f"The shards in {shards} cannot be read: {error}") from error
    return {
        key.removeprefix(PREFIX): list(entry.size)
        for key, entry in metadata.state_dict_metadata.items()
        if key.startswith(PREFIX) and isinstance(entry, TensorStorageMetadata)
    }
