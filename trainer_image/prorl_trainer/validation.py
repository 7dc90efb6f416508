"""What a held-out evaluation measures, and what it means for the state: pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from prorl_api.job import ProRLJobSpec

from prorl_trainer.algo.passk import mean_pass_at_k
from prorl_trainer.algo.reset import push_accuracy
from prorl_trainer.checkpoint.state import RunState
from prorl_trainer.types import Group

EVALUATIONS = 6
"""The last evaluation is compared with the fifth before it."""


def measure(groups: Sequence[Group], ks: Sequence[int]) -> dict[str, float]:
    """`accuracy` (mean score) and `pass_at_K` per set, per domain and over all: each a mean over
    sets, so that a large set does not outvote a small one. A set of which nothing was judged is
    left out; nothing at all gives {}."""
    sets: dict[str, list[Group]] = {}
    for group in groups:
        if group.scores:
            sets.setdefault(group.prompt.set_name, []).append(group)
    per_set = {name: _measure_set(members, ks) for name, members in sorted(sets.items())}
    domains: dict[str, list[Mapping[str, float]]] = {}
    for name, values in per_set.items():
        domains.setdefault(sets[name][0].prompt.domain, []).append(values)
    found = _means(list(per_set.values()))
    for name, values in per_set.items():
        found |= {f"{metric}_{name}": value for metric, value in values.items()}
    for domain, several in sorted(domains.items()):
        found |= {f"{metric}_domain_{domain}": v for metric, v in _means(several).items()}
    return found


def _measure_set(groups: Sequence[Group], ks: Sequence[int]) -> dict[str, float]:
    scores = [score for group in groups for score in group.scores]
    passed = {f"pass_at_{k}": mean_pass_at_k([g.scores for g in groups], k) for k in ks}
    known = {name: value for name, value in passed.items() if value is not None}
    return {"accuracy": sum(scores) / len(scores)} | known


def _means(several: Sequence[Mapping[str, float]]) -> dict[str, float]:
    names = dict.fromkeys(name for values in several for name in values)
    return {name: _mean([v[name] for v in several if name in v]) for name in names}


def _ks(spec: ProRLJobSpec) -> tuple[int, ...]:
    return spec.data.validation.pass_ks if spec.data.validation else ()


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def after_validation(spec: ProRLJobSpec, state: RunState, values: Mapping[str, float]) -> RunState:
    """The state that knows what `measure` found: an accuracy above all before makes this step the
    best one."""
    accuracy = values["accuracy"]
    passed = {f"pass_at_{k}": values.get(f"pass_at_{k}") for k in _ks(spec)}
    known = {name: value for name, value in passed.items() if value is not None}
    update: dict[str, Any] = {
        "accuracy": accuracy,
        "evals_without_gain": state.evals_without_gain + 1,
        "evaluations": [*state.evaluations, known][-EVALUATIONS:],
        "accuracies": push_accuracy(
            state.accuracies, accuracy, evals=spec.reference_reset.stall.evals
        ),
    }
    if state.best_accuracy is None or accuracy > state.best_accuracy:
        keep = spec.checkpoint.keep_best
        update["best_accuracy"] = accuracy
        update["evals_without_gain"] = 0
        update["best_steps"] = [*state.best_steps, state.step][-keep:] if keep else []
    return state.model_copy(update=update)
