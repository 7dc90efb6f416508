"""MLflow, by its client: nothing global is set."""

from collections.abc import Mapping
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Metric, Param
from prorl_api.spec_output import MlflowSpec

from prorl_trainer.observe.forwarder import Run

UID_TAG = "prorl.job_uid"
"""MLflow gives runs ids of its own: ours is a tag by which the run is found again."""
BATCH = 500
"""Metrics of one request; the server takes 1,000."""


class MlflowSink:
    """One run of an experiment, which is made if it is missing."""

    def __init__(self, spec: MlflowSpec, run: Run) -> None:
        self._client: Any = MlflowClient(tracking_uri=spec.uri)
        found = self._client.get_experiment_by_name(spec.experiment)
        experiment = (
            self._client.create_experiment(spec.experiment)
            if found is None
            else found.experiment_id
        )
        self._run_id = self._find(experiment, run) or self._create(experiment, run)

    def record(self, values: Mapping[str, float], step: int, now: float) -> None:
        """See forwarder.Sink."""
        metrics = [Metric(k, v, int(now * 1000), step) for k, v in sorted(values.items())]
        for begin in range(0, len(metrics), BATCH):
            self._client.log_batch(self._run_id, metrics=metrics[begin : begin + BATCH])

    def close(self) -> None:
        """See forwarder.Sink."""
        self._client.set_terminated(self._run_id)

    def _find(self, experiment: str, run: Run) -> str | None:
        query = f"tags.`{UID_TAG}` = '{run.uid}'"
        runs = self._client.search_runs([experiment], filter_string=query, max_results=1)
        if not runs:
            return None
        run_id: str = runs[0].info.run_id
        self._client.update_run(run_id, status="RUNNING")
        return run_id

    def _create(self, experiment: str, run: Run) -> str:
        made = self._client.create_run(experiment, run_name=run.name, tags={UID_TAG: run.uid})
        run_id: str = made.info.run_id
        params = [Param(key, str(value)[:500]) for key, value in sorted(run.config.items())]
        self._client.log_batch(run_id, params=params[:100])
        return run_id
