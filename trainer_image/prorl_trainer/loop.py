"""The RL step as a list of verbs. The file to read first; then algo/.

Order: sample prompts, generate, verify, keep groups with signal, advantages, updates, reset
decision, checkpoint, weight sync.
"""

import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from prorl_api.job import ProRLJobSpec

from prorl_trainer.algo.reset import reset_reason
from prorl_trainer.algo.schedule import learning_rate
from prorl_trainer.batch import build_batch, reward_metrics
from prorl_trainer.checkpoint.state import ReferenceState, RunState
from prorl_trainer.collect import Sampler, accuracy, collect, draw, rollout_metrics
from prorl_trainer.recorder import Recorder
from prorl_trainer.types import LearnerGroup, PromptSource, UpdateSettings

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """What the loop works with. Everything is behind a Protocol of types.py."""

    spec: ProRLJobSpec
    prompts: PromptSource
    sampler: Sampler
    learners: LearnerGroup
    publish: Callable[[RunState], Awaitable[None]]
    """Gives all engines the weights that belong to this state."""
    save: Callable[[RunState], Awaitable[None]]
    """Makes the state durable."""
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
    while state.step < parts.spec.algorithm.steps:
        await parts.at_safe_point(state)
        state = await step(parts, state)
        parts.finished(state)
    return state


async def step(parts: Parts, state: RunState) -> RunState:
    """One RL step: from prompts to published weights."""
    spec = parts.spec.algorithm
    start = time.monotonic()
    drawn = await collect(spec, parts.prompts, parts.sampler, first_ordinal=state.next_ordinal)
    learn_start = time.monotonic()
    batch = build_batch(spec, state.step + 1, drawn.kept)
    update = await parts.learners.update(batch, update_settings(parts.spec, state.step))
    values = rollout_metrics(drawn) | reward_metrics(drawn.kept, batch) | update.metrics
    values["learn_seconds"] = time.monotonic() - learn_start
    values["clip_fraction"] = values["clip_fraction_low"] + values["clip_fraction_high"]
    state = state.model_copy(
        update={
            "step": state.step + 1,
            "next_ordinal": drawn.next_ordinal,
            "tokens": state.tokens + int(values["tokens"]),
            "reward_mean": values.get("reward_mean"),
        }
    )
    values["reference_version"] = state.reference.version
    state = await maybe_reset(parts, state)
    synced = time.monotonic()
    await parts.publish(state)
    values["sync_seconds"] = time.monotonic() - synced
    values["step_seconds"] = time.monotonic() - start
    parts.recorder.step(state, values)
    if _validation_due(parts.spec, state.step):
        state = await evaluate(parts, state)
    if _checkpoint_due(parts.spec, state):
        await parts.save(state)
    return state


def update_settings(spec: ProRLJobSpec, finished_steps: int) -> UpdateSettings:
    """The learner's hyperparameters for the step after finished_steps."""
    a = spec.algorithm
    return UpdateSettings(
        num_updates=a.updates_per_step,
        learning_rate=learning_rate(
            step=finished_steps, peak=a.learning_rate, warmup_steps=a.warmup_steps
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
    )


async def maybe_reset(parts: Parts, state: RunState) -> RunState:
    """Replaces the reference by the policy when the rule says so; real with the next checkpoint."""
    spec = parts.spec
    reason = reset_reason(
        step=state.step,
        total_steps=spec.algorithm.steps,
        every_steps=spec.reference_reset.every_steps,
    )
    if reason is None:
        return state
    await parts.learners.reset_reference()
    before = state.reference
    reference = ReferenceState(
        version=before.version + 1,
        last_reset_step=state.step,
        last_reason=reason,
        log=[*before.log, (state.step, reason)],
    )
    state = state.model_copy(update={"reference": reference})
    parts.recorder.reset(state)
    return state


async def evaluate(parts: Parts, state: RunState) -> RunState:
    """Held-out accuracy; nothing to do without validation sets."""
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
    values = accuracy(drawn.groups)
    if not values:
        log.warning("step=%d no accuracy: the verifier judged no completion", state.step)
        return state
    best = max(values["accuracy"], state.best_accuracy or 0.0)
    state = state.model_copy(update={"accuracy": values["accuracy"], "best_accuracy": best})
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
    )
