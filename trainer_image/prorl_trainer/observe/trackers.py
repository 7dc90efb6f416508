"""All trackers of a run as one: metrics.jsonl and TensorBoard, then those of spec.tracking."""

import importlib.util
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from prorl_api.job import ProRLJobSpec
from prorl_api.spec_output import TrackingSpec
from prorl_api.wire import JobDocument

from prorl_trainer.errors import ConfigError
from prorl_trainer.observe.forwarder import CLOSE_TIMEOUT_S, Forwarder, Run, Sink
from prorl_trainer.observe.tracker import Kind, Tracker, Values

PACKAGES = ("wandb", "mlflow", "trackio")
"""Field of spec.tracking = package = extra."""


class Trackers:
    """Same calls as Tracker, which alone is waited for."""

    def __init__(self, tracker: Tracker, forwarders: Sequence[Forwarder]) -> None:
        self._tracker = tracker
        self._forwarders = forwarders

    def record(self, kind: Kind, step: int, values: Values, now: float) -> None:
        """Numbers go to the others under kind/name. Raises StorageError."""
        self._tracker.record(kind, step, values, now)
        numbers = {
            f"{kind}/{name}": float(value)
            for name, value in values.items()
            if isinstance(value, int | float)
        }
        for forwarder in self._forwarders if numbers else ():
            forwarder.record(numbers, step, now)

    def close(self) -> None:
        """Ends them all, within CLOSE_TIMEOUT_S."""
        self._tracker.close()
        deadline = time.monotonic() + CLOSE_TIMEOUT_S
        for forwarder in self._forwarders:
            forwarder.close(max(0.0, deadline - time.monotonic()))


def check_tracking(tracking: TrackingSpec) -> None:
    """Raises ConfigError for a tracker whose package is not installed."""
    for name in PACKAGES:
        if getattr(tracking, name) is not None and importlib.util.find_spec(name) is None:
            raise ConfigError(
                f"spec.tracking.{name}: the package {name} is not installed here. Install the "
                f"extra: pip install 'prorl-operator[{name}]', or build the image with it."
            )


def open_forwarders(
    job: JobDocument, directory: Path, on_lost: Callable[[], None]
) -> list[Forwarder]:
    """One per tracker of spec.tracking. Nothing is imported before its first record."""
    run = Run(uid=job.uid, name=job.name, config=dict(_flat(_shown(job.spec), "")))
    sinks = _sinks(job.spec.tracking, run, directory / "trackers")
    return [Forwarder(name, open_sink, on_lost) for name, open_sink in sinks]


def _sinks(
    tracking: TrackingSpec, run: Run, directory: Path
) -> Iterator[tuple[str, Callable[[], Sink]]]:
    if (wandb := tracking.wandb) is not None:
        yield "wandb", lambda: _wandb(wandb, run, directory)
    if (mlflow := tracking.mlflow) is not None:
        yield "mlflow", lambda: _mlflow(mlflow, run)
    if (trackio := tracking.trackio) is not None:
        yield "trackio", lambda: _trackio(trackio, run, directory)


def _wandb(spec: Any, run: Run, directory: Path) -> Sink:
    from prorl_trainer.observe.sinks.wandb_sink import WandbSink

    return WandbSink(spec, run, directory)


def _mlflow(spec: Any, run: Run) -> Sink:
    from prorl_trainer.observe.sinks.mlflow_sink import MlflowSink

    return MlflowSink(spec, run)


def _trackio(spec: Any, run: Run, directory: Path) -> Sink:
    from prorl_trainer.observe.sinks.trackio_sink import TrackioSink

    return TrackioSink(spec, run, directory / "trackio")


def _shown(spec: ProRLJobSpec) -> dict[str, Any]:
    document = spec.model_dump(mode="json", by_alias=True, exclude_none=True)
    return {key: document[key] for key in ("model", "data", "algorithm", "referenceReset")}


def _flat(value: Any, path: str) -> Iterator[tuple[str, str | int | float | bool]]:
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, child in items:
            yield from _flat(child, f"{path}.{key}".lstrip("."))
    elif not path.endswith("credentialsSecret"):
        yield path, value
