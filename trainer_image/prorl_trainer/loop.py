"""The RL step as a list of verbs. The file to read first; then algo/.

Order: sample prompts, generate, verify, keep groups with signal, advantages, updates, weight sync,
validation, reset decision, checkpoint.
"""

import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from prorl_api.job import ProRLJobSpec
from prorl_api.spec_reset import ResetOptimizer

from prorl_trainer.ahead import Collector
from prorl_trainer.algo.schedule import learning_rate
from prorl_trainer.batch import build_batch, reward_metrics
from prorl_trainer.checkpoint.state import RunState
from prorl_trainer.collect import Sampler, draw, rollout_metrics
from prorl_trainer.errors import CheckpointError
from prorl_trainer.recorder import Recorder
from prorl_trainer.reference import after_reset, after_step, best_step, decide_reset
from prorl_trainer.types import LearnerGroup, PromptSource, UpdateSettings
from prorl_trainer.validation import after_validation, measure

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """What the loop works with. Everything is behind a Protocol of types.py."""

    spec: ProRLJobSpec
    prompts: PromptSource
    sampler: Sampler
    collector: Collector
    learners: LearnerGroup
    publish: Callable[[RunState], Awaitable[None]]
    """Gives all engines the weights that belong to this state."""
    save: Callable[[RunState], Awaitable[None]]
    """Makes the state durable."""
    shards_of: Callable[[int], Awaitable[Path]]
    """The learners' files of the checkpoint of a step. Raises CheckpointError."""
    at_safe_point: Callable[[RunState], Awaitable[None]]
    """Between steps: answers who asks for a save, a stop or leave. May raise to end the loop."""
    finished: Callable[[RunState], None]
    """A step is finished; the state may be asked for from outside."""
    recorder: Recorder


async def train(parts: Parts, state: RunState) -> RunState:
    """Runs steps until spec.algorithm.steps are done and durable; returns the final state."""
    await parts.publish(state)
    if state.accuracy is None:
        state = await evaluate(parts, state)
        if _is_best(state):
            await parts.save(state)
    while state.step < parts.spec.algorithm.steps:
        await parts.at_safe_point(state)
        state = await step(parts, state)
        parts.finished(state)
    return state


async def step(parts: Parts, state: RunState) -> RunState:
    """One RL step: from prompts to published weights."""
    spec = parts.spec.algorithm
    start = time.monotonic()
    drawn = await parts.collector.collect(state)
    learn_start = time.monotonic()
    batch = build_batch(spec, state.step + 1, drawn.kept)
    update = await parts.learners.update(batch, update_settings(parts.spec, state))
    values = rollout_metrics(drawn) | reward_metrics(drawn.kept, batch) | update.metrics
    values["learn_seconds"] = time.monotonic() - learn_start
    values["clip_fraction"] = values["clip_fraction_low"] + values["clip_fraction_high"]
    state = state.model_copy(
        update={
            "step": state.step + 1,
            **drawn.frontier,
            "tokens": state.tokens + int(values["tokens"]),
            "reward_mean": values.get("reward_mean"),
        }
    )
    values["reference_version"] = state.reference.version
    state = after_step(parts.spec, state, values["kl"])
    synced = time.monotonic()
    await parts.publish(state)
    values["sync_seconds"] = time.monotonic() - synced
    values["step_seconds"] = time.monotonic() - start
    parts.recorder.step(state, values)
    if _validation_due(parts.spec, state.step):
        state = await evaluate(parts, state)
    state = await maybe_reset(parts, state)
    if _checkpoint_due(parts.spec, state):
        await parts.save(state)
    return state


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


async def maybe_reset(parts: Parts, state: RunState) -> RunState:
    """Replaces the reference when the rule says so; real with the next checkpoint."""
    decision = decide_reset(parts.spec, state)
    if decision is None:
        return state
    source_step = await _reset(parts, state)
    state = after_reset(parts.spec, state, decision, source_step=source_step)
    parts.recorder.reset(state)
    return state


async def _reset(parts: Parts, state: RunState) -> int:
    """Returns the step whose policy became the reference. Where the best one cannot be read any
    more it is the current one: a run of weeks does not end for a lost file."""
    clear = parts.spec.reference_reset.optimizer is ResetOptimizer.CLEAR
    best = best_step(parts.spec, state)
    if best is not None:
        try:
            source = await parts.shards_of(best)
            await parts.learners.reset_reference(source=source, clear_optimizer=clear)
            return best
        except CheckpointError as error:
            log.error("step=%d the current policy becomes the reference: %s", state.step, error)
    await parts.learners.reset_reference(clear_optimizer=clear)
    return state.step


async def evaluate(parts: Parts, state: RunState) -> RunState:
    """Held-out accuracy and pass@k; nothing to do without validation sets."""
    validation = parts.spec.data.validation
    if validation is None:
        return state
    drawn = await draw(
        parts.prompts.validation(),
        parts.spec.algorithm,
        parts.sampler,
        num_samples=validation.samples_per_prompt,
        name=f"validation-{state.step}",
    )
    values = measure(drawn.groups, validation.pass_ks)
    if not values:
        log.warning("step=%d no accuracy: the verifier judged no completion", state.step)
        return state
    state = after_validation(parts.spec, state, values["accuracy"])
    parts.recorder.validation(state, values)
    return state


def _validation_due(spec: ProRLJobSpec, finished_steps: int) -> bool:
    validation = spec.data.validation
    if validation is None:
        return False
    return finished_steps == spec.algorithm.steps or finished_steps % validation.every_steps == 0


def _checkpoint_due(spec: ProRLJobSpec, state: RunState) -> bool:
    return (
        state.step == spec.algorithm.steps
        or state.step % spec.checkpoint.every_steps == 0
        # A reset becomes real with the checkpoint that contains it.
        or state.step == state.reference.last_reset_step
        or _is_best(state)
    )


def _is_best(state: RunState) -> bool:
    return state.best_steps[-1:] == [state.step]
