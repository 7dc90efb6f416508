"""Published recipes as data. A preset gives the fields below a value where the manifest gives none.

A field that a preset governs therefore has no default in the CRD: the API server must not fill it
before the preset is looked at. The classes' own defaults are those of prorl-v2. Sizes
(promptsPerStep, samplesPerPrompt, updatesPerStep, maxResponseTokens, steps) are no part of a
preset: they follow the hardware. Sources: docs/recipe.md.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from prorl_api.spec_algorithm import Estimator, KlEstimator, MismatchType, Preset
from prorl_api.spec_reset import ResetOptimizer

_V2 = {
    "algorithm": {
        "learningRate": 1e-6,
        "warmupSteps": 10,
        "advantage": {"estimator": Estimator.REINFORCE_PP_BASELINE},
        "clip": {"low": 0.2, "high": 0.28},
        "kl": {"estimator": KlEstimator.K2, "coefficient": 1e-4},
        "mismatchCorrection": {"type": MismatchType.ICEPOP},
        "sampling": {"temperature": 1.0},
        "dynamicSampling": {"enabled": True},
        "lengthPenalty": {"stopProperly": {"coefficient": 0.0}},
    },
    "referenceReset": {
        "everySteps": 400,
        "klSpike": {"enabled": True},
        "stall": {"enabled": True},
        "optimizer": ResetOptimizer.KEEP,
    },
}
_V1 = {
    "algorithm": {
        "learningRate": 2e-6,
        "warmupSteps": 0,
        "advantage": {"estimator": Estimator.GRPO},
        "clip": {"low": 0.2, "high": 0.4},
        "kl": {"estimator": KlEstimator.K3, "coefficient": 1e-4},
        "mismatchCorrection": {"type": MismatchType.NONE},
        "sampling": {"temperature": 1.2},
        "dynamicSampling": {"enabled": True},
        "lengthPenalty": {"stopProperly": {"coefficient": 0.0}},
    },
    "referenceReset": {
        "everySteps": 0,
        "klSpike": {"enabled": False},
        "stall": {"enabled": True},
        "optimizer": ResetOptimizer.CLEAR,
    },
}
_DAPO = {
    "algorithm": {
        "learningRate": 1e-6,
        "warmupSteps": 20,
        "advantage": {"estimator": Estimator.GRPO},
        "clip": {"low": 0.2, "high": 0.28},
        "kl": {"estimator": KlEstimator.K2, "coefficient": 0.0},
        "mismatchCorrection": {"type": MismatchType.NONE},
        "sampling": {"temperature": 1.0},
        "dynamicSampling": {"enabled": True},
        "lengthPenalty": {"stopProperly": {"coefficient": 1.0}, "overlong": {"factor": 1.0}},
    },
    "referenceReset": {
        "everySteps": 0,
        "klSpike": {"enabled": False},
        "stall": {"enabled": False},
        "optimizer": ResetOptimizer.KEEP,
    },
}
_GRPO = {
    "algorithm": {
        "learningRate": 1e-6,
        "warmupSteps": 0,
        "advantage": {"estimator": Estimator.GRPO},
        "clip": {"low": 0.2, "high": 0.2},
        "kl": {"estimator": KlEstimator.K3, "coefficient": 0.04},
        "mismatchCorrection": {"type": MismatchType.NONE},
        "sampling": {"temperature": 1.0},
        "dynamicSampling": {"enabled": False},
        "lengthPenalty": {"stopProperly": {"coefficient": 1.0}},
    },
    "referenceReset": {
        "everySteps": 0,
        "klSpike": {"enabled": False},
        "stall": {"enabled": False},
        "optimizer": ResetOptimizer.KEEP,
    },
}
PRESETS: Mapping[Preset, Mapping[str, Any]] = {
    Preset.PRORL_V2: _V2,
    Preset.PRORL_V1: _V1,
    Preset.DAPO: _DAPO,
    Preset.GRPO: _GRPO,
}


def with_preset(spec: Any) -> Any:
    """The spec of a manifest (camelCase, as read from JSON) with the preset's values where it has
    none. null means none, as the API server reads it. What is malformed is left to validation."""
    algorithm = spec.get("algorithm") if isinstance(spec, dict) else None
    if not isinstance(spec, dict) or not isinstance(algorithm, dict | None):
        return spec
    name = (algorithm or {}).get("preset") or Preset.PRORL_V2
    preset = PRESETS.get(name) if isinstance(name, str) else None  # type: ignore[call-overload]
    return spec if preset is None else _below(spec, preset)


def value_of(preset: Preset, path: str) -> Any:
    """What a preset says at a dotted path below spec; None where it says nothing."""
    node: Any = PRESETS[preset]
    for key in path.split("."):
        node = node.get(key) if isinstance(node, Mapping) else None
    return node


def presets_with(path: str, *values: Any) -> list[str]:
    """Names of the presets that have one of the values at a path."""
    return [str(preset) for preset in PRESETS if value_of(preset, path) in values]


def _below(given: dict[str, Any], preset: Mapping[str, Any]) -> dict[str, Any]:
    """Both merged; what is given wins."""
    merged = dict(given)
    for key, value in preset.items():
        mine = merged.get(key)
        if isinstance(value, Mapping):
            if mine is None or isinstance(mine, dict):
                merged[key] = _below(mine or {}, value)
        elif mine is None:
            merged[key] = value
    return merged


def _leaves(node: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in node.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


GOVERNED: tuple[str, ...] = tuple(
    dict.fromkeys(path for preset in PRESETS.values() for path in _leaves(preset))
)
"""Dotted paths below spec of every field that a preset may decide."""
