"""The learning-rate schedule: linear warm-up, then constant. Pure functions of the step."""


def learning_rate(
    *,
    step: int,
    peak: float,
    warmup_steps: int,
    cleared_step: int | None = None,
    rewarm_steps: int = 0,
) -> float:
    """Rate for the RL step after `step` finished ones; the first warm-up step is not 0.

    A reset that cleared the optimizer after `cleared_step` steps warms up once more, on top of the
    schedule, which itself never starts again.
    """
    rate = peak * ramp(step, warmup_steps)
    return rate if cleared_step is None else rate * ramp(step - cleared_step, rewarm_steps)


def ramp(step: int, steps: int) -> float:
    """Linear from 1 / (steps + 1) at step 0 to 1 at `steps`."""
    return min(1.0, (step + 1) / (steps + 1))
