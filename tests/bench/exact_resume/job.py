"""The job: small, but with everything that could be lost. Validation, resets that clear the
optimizer, pauses of the guard, groups that are drawn again because they had no signal."""

import secrets
from pathlib import Path
from typing import Any

from prorl_api.canonical import spec_hash
from prorl_api.job import ProRLJobSpec
from prorl_api.wire import JobDocument
from prorl_trainer.context import Context, local_context

SPELL = "gym://reasoning-gym/spell_backward"
SHORT = "min_word_len=3&max_word_len=3"
STEPS = 8
SPEC: dict[str, Any] = {
    "model": {"uri": "tiny://llama?layers=1&hidden=32&heads=2&warmupSteps=150&warmupBatch=16"},
    "data": {
        "train": [{"name": "spell", "domain": "logic", "uri": f"{SPELL}?size=64&{SHORT}"}],
        "validation": {
            "everySteps": 4,
            "samplesPerPrompt": 2,
            "sets": [
                {"name": "held", "domain": "logic", "uri": f"{SPELL}?size=8&seed=1000&{SHORT}"}
            ],
        },
    },
    "algorithm": {
        "steps": STEPS,
        "promptsPerStep": 3,
        "samplesPerPrompt": 4,
        "updatesPerStep": 2,
        "learningRate": 1e-3,
        "warmupSteps": 0,
        "dynamicSampling": {"oversample": 1.5, "maxRounds": 20},
        "sampling": {"maxPromptTokens": 64, "maxResponseTokens": 6},
    },
    "rollout": {"engine": "transformers"},
    "referenceReset": {"everySteps": 3, "optimizer": "Clear", "rewarmSteps": 2},
    "guard": {"entropyBelow": 100, "consecutive": 5, "action": "Pause"},
    "checkpoint": {"everySteps": 2, "keep": 3},
}


def make_context(directory: Path, **checkpoint: Any) -> Context:
    """A run of the job in this directory, which `prorl run` would prepare so."""
    spec = ProRLJobSpec.model_validate(SPEC | {"checkpoint": SPEC["checkpoint"] | checkpoint})
    job = JobDocument(name="j", namespace="n", uid="u", spec=spec, hash=spec_hash(spec))
    (directory / "job.json").write_text(job.model_dump_json(by_alias=True))
    (directory / "token").write_text(secrets.token_hex())
    return local_context(directory)
