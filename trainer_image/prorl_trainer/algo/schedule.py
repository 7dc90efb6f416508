"""The learning-rate schedule: linear warm-up, then constant. A pure function of the step."""


def learning_rate(*, step: int, peak: float, warmup_steps: int) -> float:
    """Rate for the RL step after `step` finished ones; the first warm-up step is not 0."""
    return peak * min(1.0, (step + 1) / (warmup_steps + 1))
