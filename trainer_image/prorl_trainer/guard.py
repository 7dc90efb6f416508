"""What spec.guard says about a step, and what it means for the state: pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from prorl_api.job import ProRLJobSpec
from prorl_api.spec_guard import GuardAction, GuardSpec
from prorl_api.status import GuardStatus

from prorl_trainer.algo.guard import Limit, count, first_exceeded
from prorl_trainer.checkpoint.state import GuardState, RunState
from prorl_trainer.errors import GuardError, NonFiniteError, TrainingError

NON_FINITE = "nonFinite"


@dataclass(frozen=True, kw_only=True, slots=True)
class Breach:
    """A rule was broken for too long."""

    rule: str
    action: GuardAction
    message: str


def limits(spec: GuardSpec) -> tuple[Limit, ...]:
    """The rules in force, the gravest first."""
    steps = spec.consecutive
    found = [Limit(rule=NON_FINITE, metric="non_finite", bound=0.0, steps=spec.non_finite)]
    for rule, metric, bound, below in (
        ("klAbove", "kl", spec.kl_above, False),
        ("entropyBelow", "entropy", spec.entropy_below, True),
        ("truncationAbove", "truncated_ratio", spec.truncation_above, False),
    ):
        if bound is not None:
            found.append(Limit(rule=rule, metric=metric, bound=bound, steps=steps, below=below))
    return tuple(found)


def after_step(spec: ProRLJobSpec, state: RunState, values: Mapping[str, float]) -> RunState:
    """The state that has counted what the step has broken."""
    before = state.guard
    counts = count(before.counts, limits(spec.guard), values)
    # What a step measures is the policy that it began with.
    since = (state.step - 1 if before.since is None else before.since) if counts else None
    guard = before.model_copy(update={"counts": counts, "since": since})
    return state.model_copy(update={"guard": guard})


def decide(spec: ProRLJobSpec, state: RunState, values: Mapping[str, float]) -> Breach | None:
    """What must be done after the step that has just been counted."""
    limit = first_exceeded(limits(spec.guard), state.guard.counts)
    if limit is None:
        return None
    message = _describe(limit, state, values)
    used, allowed = state.guard.rollbacks, spec.guard.max_rollbacks
    if spec.guard.action is GuardAction.ROLLBACK and used >= allowed:
        message += f" {used} of {allowed} rollbacks (spec.guard.maxRollbacks) are used up."
        return Breach(rule=limit.rule, action=GuardAction.FAIL, message=message)
    return Breach(rule=limit.rule, action=spec.guard.action, message=message)


def _describe(limit: Limit, state: RunState, values: Mapping[str, float]) -> str:
    number = state.guard.counts[limit.rule]
    if limit.rule == NON_FINITE:
        what = "Loss or gradient was not finite"
    else:
        last = f" ({values[limit.metric]:.4g} now)" if limit.metric in values else ""
        side = "below" if limit.below else "above"
        what = f"{limit.metric} was {side} {limit.bound:g}{last}"
    return f"{what} for {number} steps in a row up to step {state.step} (spec.guard.{limit.rule})."


def after_pause(spec: ProRLJobSpec, state: RunState, breach: Breach) -> RunState:
    """The state that waits. It remembers the rules that it was stopped by."""
    guard = state.guard.model_copy(
        update={
            "counts": {},
            "since": None,
            "paused_by": spec.guard,
            "last": _status(state, state.guard, breach, step=state.step),
        }
    )
    return state.model_copy(update={"guard": guard})


def is_paused(spec: ProRLJobSpec, state: RunState) -> bool:
    """A guard that was changed since lets the run go on."""
    return state.guard.paused_by == spec.guard


def after_resume(state: RunState) -> RunState:
    """The state that goes on."""
    guard = state.guard.model_copy(update={"paused_by": None})
    return state.model_copy(update={"guard": guard})


def after_rollback(earlier: RunState, failed: RunState, breach: Breach) -> RunState:
    """The earlier state with what must not be forgotten: the same prompts would lead to the same
    end, and rollbacks are counted."""
    guard = GuardState(
        rollbacks=failed.guard.rollbacks + 1,
        last=_status(failed, failed.guard, breach, step=earlier.step),
    )
    # What the earlier state was to draw again has been drawn since, or waits in the failed one.
    waiting = {*failed.returned, *(group.ordinal for group in failed.carried)}
    return earlier.model_copy(
        update={
            "next_ordinal": failed.next_ordinal,
            "returned": sorted(waiting),
            "carried": (),
            "guard": guard,
        }
    )


def must_save(state: RunState) -> bool:
    """A pause is durable at once, its end and a rollback with the first step after them."""
    guard = state.guard
    first = guard.last is not None and state.step == guard.last.went_on_from + 1
    return guard.paused_by is not None or first


def failure(breach: Breach, more: str = "") -> TrainingError:
    """What ends the run."""
    kind = NonFiniteError if breach.rule == NON_FINITE else GuardError
    return kind(breach.message + more)


def _status(state: RunState, guard: GuardState, breach: Breach, *, step: int) -> GuardStatus:
    number = guard.last.actions if guard.last else 0
    return GuardStatus(
        actions=number + 1,
        last_action=breach.action,
        last_rule=breach.rule,
        last_step=state.step,
        went_on_from=step,
        message=breach.message,
    )
