"""Weights & Biases."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import wandb
from prorl_api.spec_output import WandbSpec

from prorl_trainer.observe.forwarder import Run

STEP = "rl_step"
"""The axis of every curve: W&B's own step only grows, an RL step may be repeated."""


class WandbSink:
    """One run; the same id resumes it."""

    def __init__(self, spec: WandbSpec, run: Run, directory: Path) -> None:
        settings = wandb.Settings(
            console="off",
            disable_code=True,
            disable_git=True,
            x_disable_meta=True,
            x_disable_stats=True,
            silent=True,
            **({"base_url": spec.url} if spec.url else {}),
        )
        directory.mkdir(parents=True, exist_ok=True)
        self._run: Any = wandb.init(
            project=spec.project,
            entity=spec.entity,
            id=run.uid,
            name=run.name,
            config=dict(run.config),
            resume="allow",
            mode="offline" if spec.offline else "online",
            dir=str(directory),
            settings=settings,
        )
        self._run.define_metric(STEP, hidden=True)
        self._run.define_metric("*", step_metric=STEP)

    def record(self, values: Mapping[str, float], step: int, now: float) -> None:
        """See forwarder.Sink."""
        self._run.log({**values, STEP: step})

    def close(self) -> None:
        """See forwarder.Sink."""
        self._run.finish()
