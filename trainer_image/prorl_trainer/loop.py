"""The RL step as a list of verbs. The file to read first; then algo/.

Order: sample prompts, generate, verify, keep groups with signal, advantages, updates, weight sync,
validation, reset decision, checkpoint.
"""

import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from prorl_api.job import ProRLJobSpec
from prorl_api.spec_guard import GuardAction
from prorl_api.spec_reset import ResetOptimizer

from prorl_trainer import guard, health
from prorl_trainer.ahead import Collector
from prorl_trainer.batch import build_batch, reward_metrics
from prorl_trainer.checkpoint.state import RunState
from prorl_trainer.collect import Sampler, draw, rollout_metrics
from prorl_trainer.due import checkpoint_due, is_best, update_settings, validation_due
from prorl_trainer.errors import CheckpointError, NonFiniteError
from prorl_trainer.guard import Breach
from prorl_trainer.protocols import LearnerGroup, PromptSource
from prorl_trainer.recorder import Recorder
from prorl_trainer.reference import after_reset, after_step, best_step, decide_reset
from prorl_trainer.rewards import group_metrics, shaped_metrics
from prorl_trainer.throughput import throughput
from prorl_trainer.types import TrainingBatch
from prorl_trainer.validation import after_validation, measure

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """What the loop works with. Everything is behind a Protocol of protocols.py."""

    spec: ProRLJobSpec
    live_spec: Callable[[], ProRLJobSpec]
    """The spec with what was changed since, for the next step."""
    prompts: PromptSource
    sampler: Sampler
    collector: Collector
    learners: LearnerGroup
    publish: Callable[[RunState], Awaitable[None]]
    """Gives all engines the weights that belong to this state."""
    save: Callable[[RunState], Awaitable[None]]
    """Stages the state, and makes it durable behind the loop's back."""
    save_age_s: Callable[[], float]
    """Seconds since the last save was begun."""
    settle: Callable[[], Awaitable[None]]
    """Returns when what was saved is durable. Raises what that has failed with."""
    roll_back: Callable[[RunState], Awaitable[RunState]]
    """Goes back to the last healthy checkpoint: its state. Raises CheckpointError."""
    wait_for_resume: Callable[[RunState], Awaitable[None]]
    """Returns when somebody says Resume or changes the guard. May raise as at_safe_point does."""
    reset_requests: Callable[[], Sequence[str]]
    """IDs of the commands that ask for a reset of the reference."""
    shards_of: Callable[[int], Awaitable[str]]
    """The learners' files of the checkpoint of a step. Raises CheckpointError."""
    at_safe_point: Callable[[RunState], Awaitable[None]]
    """Between steps: answers who asks for a save, a stop or leave. May raise to end the loop."""
    finished: Callable[[RunState], None]
    """A step is finished; the state may be asked for from outside."""
    recorder: Recorder


async def train(parts: Parts, state: RunState) -> RunState:
    """Runs steps until spec.algorithm.steps are done and durable; returns the final state."""
    await parts.publish(state)
    if state.step == 0 and state.accuracy is None:
        state = await evaluate(parts, state)
        if is_best(state):
            await parts.save(state)
    while state.step < (parts := take_changes(parts)).spec.algorithm.steps:
        await parts.at_safe_point(state)
        state = await resume(parts, state)
        state = await step(take_changes(parts), state)
        parts.finished(state)
    await parts.settle()
    return state


def take_changes(parts: Parts) -> Parts:
    """Between two steps: the parts that work by what the spec says now."""
    spec = parts.live_spec()
    parts.collector.configure(spec)
    parts.recorder.configure(spec)
    return replace(parts, spec=spec)


async def step(parts: Parts, state: RunState) -> RunState:
    """One RL step: from prompts to published weights."""
    spec = parts.spec.algorithm
    start = time.monotonic()
    drawn = await parts.collector.collect(state)
    learn_start = time.monotonic()
    batch = build_batch(spec, state.step + 1, drawn.kept)
    learned = await _learn(parts, batch, state)
    values = rollout_metrics(drawn) | reward_metrics(drawn.kept, batch) | learned
    values |= group_metrics(drawn.drawn) | shaped_metrics(drawn.kept, batch)
    learned_at = time.monotonic()
    values["learn_seconds"] = learned_at - learn_start
    values |= throughput(drawn, waited=learn_start - start, elapsed=learned_at - start)
    state = state.model_copy(
        update={
            "step": state.step + 1,
            **drawn.frontier,
            "tokens": state.tokens + int(values["tokens"]),
            "reward_mean": values.get("reward_mean"),
        }
    )
    values["reference_version"] = state.reference.version
    state = health.after_step(after_step(parts.spec, state, values), values)
    state = guard.after_step(parts.spec, state, values)
    values |= health.step_health(parts.spec, state, values)
    breach = guard.decide(parts.spec, state, values)
    if breach is not None and breach.action is not GuardAction.PAUSE:
        parts.recorder.step(state, values)
        return await _obey(parts, state, breach)
    synced = time.monotonic()
    await parts.publish(state)
    values["sync_seconds"] = time.monotonic() - synced
    values["step_seconds"] = time.monotonic() - start
    parts.recorder.step(state, values)
    if validation_due(parts.spec, state.step):
        state = await evaluate(parts, state)
    state = await maybe_reset(parts, state)
    if breach is not None:
        state = guard.after_pause(parts.spec, state, breach)
        parts.recorder.guard(state)
    if checkpoint_due(parts.spec, state, parts.save_age_s()):
        await parts.save(state)
    return state


async def _learn(parts: Parts, batch: TrainingBatch, state: RunState) -> dict[str, float]:
    """The learners' metrics. An update that is not finite is skipped, with those after it."""
    try:
        update = await parts.learners.update(batch, update_settings(parts.spec, state))
    except NonFiniteError as error:
        log.error("step=%d the rest of its updates is skipped: %s", batch.step, error)
        return {"non_finite": 1.0}
    clipped = update.metrics["clip_fraction_low"] + update.metrics["clip_fraction_high"]
    return {**update.metrics, "clip_fraction": clipped, "non_finite": 0.0}


async def _obey(parts: Parts, state: RunState, breach: Breach) -> RunState:
    """Rolls back, or raises what ends the run."""
    try:
        if breach.action is GuardAction.FAIL:
            raise guard.failure(breach)
        await parts.collector.close()  # what it has begun follows the policy that is given up
        earlier = await parts.roll_back(state)
    except CheckpointError as error:
        raise guard.failure(breach, f" It cannot go back: {error}") from error
    state = guard.after_rollback(earlier, state, breach)
    parts.recorder.guard(state)
    await parts.publish(state)
    return state


async def resume(parts: Parts, state: RunState) -> RunState:
    """Waits while the guard makes the run wait."""
    if state.guard.paused_by is None:
        return state
    if guard.is_paused(parts.spec, state):
        await parts.settle()
        await parts.wait_for_resume(state)
    return guard.after_resume(state)


async def maybe_reset(parts: Parts, state: RunState) -> RunState:
    """Replaces the reference when a rule or a command says so; real with the next checkpoint."""
    decision = decide_reset(parts.spec, state, parts.reset_requests())
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
        parts.sampler.at(state),
        num_samples=validation.samples_per_prompt,
        name=f"validation-{state.step}",
    )
    values = measure(drawn.groups, validation.pass_ks)
    if not values:
        log.warning("step=%d no accuracy: the verifier judged no completion", state.step)
        return state
    state = after_validation(parts.spec, state, values)
    values |= health.validation_health(state)
    parts.recorder.validation(state, values)
    return state
