"""Health signals of a run, from its state and the numbers of a step or an evaluation: pure."""

from collections.abc import Mapping

from prorl_api.job import ProRLJobSpec

from prorl_trainer.algo.health import kl_ratio, pass_at_k_drop, remember, step_signals
from prorl_trainer.algo.reset import KL_FLOOR
from prorl_trainer.algo.signals import judge
from prorl_trainer.checkpoint.state import RunState

PREFIX = "health_"
"""Of the metrics that are a signal's level: 0 ok, 1 warn, 2 alert."""


def after_step(state: RunState, values: Mapping[str, float]) -> RunState:
    """The state that remembers the step."""
    return state.model_copy(update={"health": remember(state.health, values)})


def step_health(
    spec: ProRLJobSpec, state: RunState, values: Mapping[str, float]
) -> dict[str, float]:
    """Every signal of the step that the state already remembers, and its level."""
    signals = step_signals(state.health, values)
    ratio = kl_ratio(state.kl_history, floor=KL_FLOOR) if "kl" in values else None
    if ratio is not None:
        signals["kl_ratio"] = ratio
    if _has_resets(spec):
        signals["steps_since_reset"] = float(state.step - (state.reference.last_reset_step or 0))
    return with_levels(signals)


def validation_health(state: RunState) -> dict[str, float]:
    """The signals of the last evaluation, which the state already knows."""
    signals = {"evals_without_gain": float(state.evals_without_gain)}
    drop = pass_at_k_drop(state.evaluations[0], state.evaluations[-1])
    return with_levels(signals if drop is None else signals | {"pass_at_k_drop": drop})


def with_levels(signals: Mapping[str, float]) -> dict[str, float]:
    """The same, and a level for each."""
    return dict(signals) | {f"{PREFIX}{s.bound.signal}": float(s.level) for s in judge(signals)}


def _has_resets(spec: ProRLJobSpec) -> bool:
    rule = spec.reference_reset
    return rule.every_steps > 0 or rule.kl_spike.enabled or rule.stall.enabled
