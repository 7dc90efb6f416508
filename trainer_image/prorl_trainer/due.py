"""What is due after a step, and with which settings the next one learns: pure."""

from prorl_api.job import ProRLJobSpec

from prorl_trainer.algo.schedule import learning_rate
from prorl_trainer.checkpoint.state import RunState
from prorl_trainer.guard import must_save
from prorl_trainer.types import UpdateSettings


def update_settings(spec: ProRLJobSpec, state: RunState) -> UpdateSettings:
    """The learner's hyperparameters for the step after state.step."""
    a = spec.algorithm
    return UpdateSettings(
        num_updates=a.updates_per_step,
        learning_rate=learning_rate(
            step=state.step,
            peak=a.learning_rate,
            warmup_steps=a.warmup_steps,
            cleared_step=state.reference.cleared_step,
            rewarm_steps=spec.reference_reset.rewarm_steps,
        ),
        max_grad_norm=a.max_grad_norm,
        clip_low=a.clip.low,
        clip_high=a.clip.high,
        clip_dual=a.clip.dual,
        kl_estimator=a.kl.estimator,
        kl_coefficient=a.kl.coefficient,
        kl_clamp=a.kl.clamp,
        mismatch_type=a.mismatch_correction.type,
        mismatch_bounds=a.mismatch_correction.bounds,
        temperature=a.sampling.temperature,
        tokens_per_microbatch=a.tokens_per_microbatch,
        entropy_coefficient=a.entropy_coefficient,
    )


def validation_due(spec: ProRLJobSpec, finished_steps: int) -> bool:
    """Whether held-out accuracy is measured after so many steps."""
    validation = spec.data.validation
    if validation is None:
        return False
    return finished_steps == spec.algorithm.steps or finished_steps % validation.every_steps == 0


def checkpoint_due(spec: ProRLJobSpec, state: RunState, age_s: float) -> bool:
    """Whether this state is made durable without anybody asking. age_s: seconds since the last
    save was begun."""
    every_s = spec.checkpoint.every_seconds
    return (
        state.step == spec.algorithm.steps
        or state.step % spec.checkpoint.every_steps == 0
        or (every_s is not None and age_s >= every_s)
        # A reset becomes real with the checkpoint that contains it.
        or state.step == state.reference.last_reset_step
        or is_best(state)
        # So does what the guard has decided.
        or must_save(state)
    )


def is_best(state: RunState) -> bool:
    """The last evaluation was of this step, the best so far, and is kept."""
    return state.best_steps[-1:] == [state.step]
