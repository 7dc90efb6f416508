"""The decision to reset the reference, and what it means for the state: pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from prorl_api.job import ProRLJobSpec
from prorl_api.spec_reset import NewReference, ResetOptimizer

from prorl_trainer.algo import reset
from prorl_trainer.checkpoint.state import LOG_ENTRIES, ReferenceState, ResetEntry, RunState


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """A reset that is to be made."""

    reason: str
    values: reset.Evidence
    requests: tuple[str, ...] = ()


def decide_reset(
    spec: ProRLJobSpec, state: RunState, requests: Sequence[str] = ()
) -> Decision | None:
    """Whether to reset after state.step finished steps. Never after the last step: nobody would
    train against the new reference. requests: IDs of the commands that ask for a reset, to which no
    rule but this applies; all that the log does not know yet are answered by one reset."""
    rule, step = spec.reference_reset, state.step
    last = state.reference.last_reset_step or 0
    if not last < step < spec.algorithm.steps:
        return None
    asked = tuple(one for one in requests if one not in state.reference.done_requests)
    if asked:
        return Decision(reason=reset.REQUESTED, values={}, requests=asked)
    if next_interval_step(spec, state, step) == step:
        return Decision(reason=reset.INTERVAL, values={})
    if step - last < rule.min_gap_steps:
        return None
    return _spike(spec, state) or _stall(spec, state)


def next_interval_step(spec: ProRLJobSpec, state: RunState, first: int) -> int | None:
    """The next step from `first` on that brings a reset by the interval, or None."""
    upcoming = reset.next_interval_step(
        step=first,
        last_reset_step=state.reference.last_reset_step or 0,
        every_steps=spec.reference_reset.every_steps,
    )
    return upcoming if upcoming is not None and upcoming < spec.algorithm.steps else None


def _spike(spec: ProRLJobSpec, state: RunState) -> Decision | None:
    rule = spec.reference_reset.kl_spike
    if not rule.enabled:
        return None
    evidence = reset.kl_spike(
        state.kl_history,
        factor=rule.factor,
        window=rule.window,
        consecutive=rule.consecutive,
        absolute=rule.absolute,
    )
    return None if evidence is None else Decision(reason=reset.KL_SPIKE, values=evidence)


def _stall(spec: ProRLJobSpec, state: RunState) -> Decision | None:
    rule = spec.reference_reset.stall
    if not rule.enabled:
        return None
    evidence = reset.stall(state.accuracies, evals=rule.evals, min_delta=rule.min_delta)
    return None if evidence is None else Decision(reason=reset.STALL, values=evidence)


def after_step(spec: ProRLJobSpec, state: RunState, values: Mapping[str, float]) -> RunState:
    """The state that knows the KL of the step that has just been finished, if it has one."""
    if "kl" not in values:
        return state
    rule = spec.reference_reset.kl_spike
    history = reset.push_kl(
        state.kl_history, values["kl"], window=rule.window, consecutive=rule.consecutive
    )
    return state.model_copy(update={"kl_history": history})


def best_step(spec: ProRLJobSpec, state: RunState) -> int | None:
    """Step of the checkpoint whose policy is to become the reference; None: the current policy."""
    if spec.reference_reset.new_reference is NewReference.CURRENT or not state.best_steps:
        return None
    best = state.best_steps[-1]
    return None if best == state.step else best


def after_reset(
    spec: ProRLJobSpec, state: RunState, decision: Decision, *, source_step: int
) -> RunState:
    """The state after the reset was made; both histories start anew, with the last accuracy as what
    the next ones are compared with."""
    before = state.reference
    cleared = spec.reference_reset.optimizer is ResetOptimizer.CLEAR
    entry = ResetEntry(
        step=state.step,
        reason=decision.reason,
        values=decision.values,
        ref_version=before.version + 1,
        source_step=source_step,
        requests=list(decision.requests),
    )
    reference = ReferenceState(
        version=entry.ref_version,
        last_reset_step=state.step,
        last_reason=decision.reason,
        cleared_step=state.step if cleared else before.cleared_step,
        log=[*before.log, entry][-LOG_ENTRIES:],
    )
    accuracies = [] if state.accuracy is None else [state.accuracy]
    return state.model_copy(
        update={"reference": reference, "kl_history": [], "accuracies": accuracies}
    )
