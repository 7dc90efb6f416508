"""Adam, as every rank has it."""

import torch


def make_optimizer(policy: torch.nn.Module) -> torch.optim.AdamW:
    """Adam without decay, which would pull the policy away from both reward and reference.

    Its moments exist from the start: get_state_dict would otherwise make them by a step with zero
    gradients, and the first real step would count as the second one.
    """
    optimizer = torch.optim.AdamW(
        policy.parameters(), lr=0.0, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0
    )
    for parameter in policy.parameters():
        optimizer.state[parameter] = {
            "step": torch.zeros((), dtype=torch.float32),
            "exp_avg": torch.zeros_like(parameter),
            "exp_avg_sq": torch.zeros_like(parameter),
        }
    return optimizer


@torch.no_grad()
def clear_state(optimizer: torch.optim.Optimizer) -> None:
    """Zeroes the moments and the step counters, as if no step had been taken."""
    for state in optimizer.state.values():
        for tensor in state.values():
            tensor.zero_()
