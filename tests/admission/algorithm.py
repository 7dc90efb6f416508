"""spec.algorithm: presets, and what does not go together.

id -> spec; of refused ones, the path of the field that is named first."""

from typing import Any

ACCEPTED: dict[str, dict[str, Any]] = {
    "integer-for-a-number": {"algorithm": {"learningRate": 1}},
    "one-sample-without-baseline": {
        "algorithm": {
            "samplesPerPrompt": 1,
            "advantage": {"estimator": "reinforce++", "normalisation": "sequence"},
            "dynamicSampling": {"enabled": False},
        }
    },
    "one-sample-unfiltered-by-preset": {
        "algorithm": {
            "preset": "grpo",
            "samplesPerPrompt": 1,
            "advantage": {"estimator": "reinforce++"},
        }
    },
    "preset-grpo": {"algorithm": {"preset": "grpo", "kl": {"coefficient": 0.1}}},
    "preset-v1": {"algorithm": {"preset": "prorl-v1"}},
    "preset-dapo-with-a-buffer": {
        "algorithm": {"preset": "dapo", "lengthPenalty": {"overlong": {"bufferTokens": 8192}}}
    },
    "terms-switched-off": {
        "algorithm": {
            "preset": "dapo",
            "lengthPenalty": {"stopProperly": {"coefficient": 1}, "overlong": {"factor": 0}},
        }
    },
    "overlong-without-buffer": {"algorithm": {"lengthPenalty": {"overlong": {"factor": 2}}}},
    "dual-clip": {"algorithm": {"clip": {"dual": 3}}},
    "kl-estimator": {"algorithm": {"kl": {"estimator": "k3"}}},
    "mismatch": {"algorithm": {"mismatchCorrection": {"type": "tis", "low": 0, "high": 3}}},
    "length-terms": {
        "algorithm": {
            "lengthPenalty": {
                "cosine": {},
                "stopProperly": {},
                "overlong": {"bufferTokens": 8192},
            }
        }
    },
    "updates-equal-prompts": {"algorithm": {"promptsPerStep": 4, "updatesPerStep": 4}},
}

REFUSED: dict[str, tuple[str, dict[str, Any]]] = {
    "zero-steps": ("spec.algorithm.steps", {"algorithm": {"steps": 0}}),
    "too-many-steps": ("spec.algorithm.steps", {"algorithm": {"steps": 1_000_001}}),
    "learning-rate-zero": ("spec.algorithm.learningRate", {"algorithm": {"learningRate": 0}}),
    "clip-low-one": ("spec.algorithm.clip.low", {"algorithm": {"clip": {"low": 1}}}),
    "dual-clip-one": ("spec.algorithm.clip.dual", {"algorithm": {"clip": {"dual": 1}}}),
    "kl-estimator-k4": ("spec.algorithm.kl.estimator", {"algorithm": {"kl": {"estimator": "k4"}}}),
    "mismatch-low": (
        "spec.algorithm.mismatchCorrection.low",
        {"algorithm": {"mismatchCorrection": {"low": 1.5}}},
    ),
    "cosine-upside-down": (
        "spec.algorithm.lengthPenalty.cosine.etaMin",
        {"algorithm": {"lengthPenalty": {"cosine": {"etaMin": 0}}}},
    ),
    "cosine-too-heavy": (
        "spec.algorithm.lengthPenalty.cosine.weight",
        {"algorithm": {"lengthPenalty": {"cosine": {"etaMax": 1, "weight": 0.5}}}},
    ),
    "stop-properly-over-one": (
        "spec.algorithm.lengthPenalty.stopProperly.coefficient",
        {"algorithm": {"lengthPenalty": {"stopProperly": {"coefficient": 1.5}}}},
    ),
    "preset": ("spec.algorithm.preset", {"algorithm": {"preset": "ppo"}}),
    "normalisation-without-effect-by-preset": (
        "spec.algorithm.advantage.normalisation",
        {"algorithm": {"preset": "dapo", "advantage": {"normalisation": "sequence"}}},
    ),
    "one-sample-by-preset": (
        "spec.algorithm.samplesPerPrompt",
        {"algorithm": {"preset": "grpo", "samplesPerPrompt": 1}},
    ),
    "one-sample-filtered-by-preset": (
        "spec.algorithm.dynamicSampling",
        {
            "algorithm": {
                "preset": "dapo",
                "samplesPerPrompt": 1,
                "advantage": {"estimator": "reinforce++"},
            }
        },
    ),
    "overlong-buffer-over-the-cap": (
        "spec.algorithm.lengthPenalty",
        {"algorithm": {"lengthPenalty": {"overlong": {"bufferTokens": 8193}}}},
    ),
    "temperature": (
        "spec.algorithm.sampling.temperature",
        {"algorithm": {"sampling": {"temperature": 2.5}}},
    ),
    "advantage": (
        "spec.algorithm.advantage.estimator",
        {"algorithm": {"advantage": {"estimator": "gae"}}},
    ),
    "normalisation-without-effect": (
        "spec.algorithm.advantage.normalisation",
        {"algorithm": {"advantage": {"estimator": "rloo", "normalisation": "sequence"}}},
    ),
    "oversample-without-effect": (
        "spec.algorithm.dynamicSampling.oversample",
        {"algorithm": {"dynamicSampling": {"enabled": False, "oversample": 1.5}}},
    ),
    "oversample-too-much": (
        "spec.algorithm.dynamicSampling.oversample",
        {"algorithm": {"dynamicSampling": {"oversample": 4.5}}},
    ),
    "one-sample-filtered": (
        "spec.algorithm.dynamicSampling",
        {"algorithm": {"samplesPerPrompt": 1, "advantage": {"estimator": "reinforce++"}}},
    ),
    "negative-seed": ("spec.algorithm.seed", {"algorithm": {"seed": -1}}),
    "one-sample": ("spec.algorithm.samplesPerPrompt", {"algorithm": {"samplesPerPrompt": 1}}),
    "more-updates-than-prompts": (
        "spec.algorithm.updatesPerStep",
        {"algorithm": {"promptsPerStep": 2, "updatesPerStep": 3}},
    ),
}
