"""Trackio: a local database, or a server or Space that is named."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prorl_api.spec_output import TrackioSpec

from prorl_trainer.observe.forwarder import Run


class TrackioSink:
    """One run; the same name resumes it."""

    def __init__(self, spec: TrackioSpec, run: Run, directory: Path) -> None:
        os.environ.setdefault("TRACKIO_DIR", str(directory))  # read when trackio is imported
        import trackio

        self._run: Any = trackio.init(
            project=spec.project,
            name=f"{run.name}-{run.uid}",
            space_id=spec.space,
            server_url=spec.url,
            config=dict(run.config),
            resume="allow",
            embed=False,
            auto_log_gpu=False,
            auto_log_cpu=False,
        )

    def record(self, values: Mapping[str, float], step: int, now: float) -> None:
        """See forwarder.Sink."""
        self._run.log(dict(values), step=step)

    def close(self) -> None:
        """See forwarder.Sink."""
        self._run.finish()
