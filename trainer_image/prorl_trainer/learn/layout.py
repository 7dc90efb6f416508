"""How a policy lies on the ranks: shards, precision, and activations that are made twice."""

from functools import partial

import torch
from prorl_api.spec_roles import Precision
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.utils.checkpoint import checkpoint

from prorl_trainer.learn.policy import Policy


def shard(policy: Policy, world_size: int, device: torch.device, precision: Precision) -> None:
    """FSDP2 over all ranks, layer by layer; nothing to do for one rank in fp32.

    Mixed precision is FSDP's too, also on one rank, so that the numbers do not depend on how many
    there are: parameters stay fp32 (as optimizer and checkpoints see them), are gathered and used
    in bf16, which is how the engine uses them, and gradients are summed in fp32. Autocast would
    gather fp32, twice the bytes, and leave norms and residuals in another precision.
    """
    if world_size == 1 and precision is Precision.FP32:
        return
    mesh = init_device_mesh(device.type, (world_size,))
    mixed = MixedPrecisionPolicy(
        param_dtype=torch.bfloat16 if precision is Precision.BF16 else None,
        reduce_dtype=torch.float32,
    )
    for layer in policy.hf.model.layers:
        fully_shard(layer, mesh=mesh, mp_policy=mixed)
    # By default the root stays gathered after a forward without backward, and parameters() then
    # yields whole tensors in place of shards.
    fully_shard(policy, mesh=mesh, mp_policy=mixed, reshard_after_forward=True)


def checkpoint_activations(policy: Policy) -> None:
    """Keeps only the input of each decoder layer; backward computes the layer again. To be called
    before shard, whose hooks must stay around it. Dropout is off: no random state to restore."""
    for layer in policy.hf.model.layers:
        layer.forward = partial(
            checkpoint, layer.forward, use_reentrant=False, preserve_rng_state=False
        )
