"""The operator's metrics, named after those of controller-runtime."""

from datetime import datetime

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.process_collector import ProcessCollector
from prorl_api.spec_roles import Role
from prorl_api.status import ConditionType, Phase, ProRLJobStatus

from prorl_operator.plan.observed import Key

disable_created_metrics()  # one more series per counter, which nobody reads

PREFIX = "prorl_operator_"
JOB = ["namespace", "prorl_job"]
"""Labels of a job's series. PodMonitors put the same ones on what its pods export."""
JOB_GAUGES = {
    "step": "Finished RL steps.",
    "total_steps": "RL steps that the job is to do.",
    "step_timestamp_seconds": "Unix time of the last finished step.",
    "checkpoint_step": "Step of the last durable checkpoint.",
    "checkpoint_timestamp_seconds": "Unix time of the last durable checkpoint.",
    "reference_version": "Number of reference resets so far.",
    "restarts": "Faults after which pods of coordinator or trainers were replaced.",
    "restarts_counted": "Those of them that count against runPolicy.maxRestarts.",
    "disruptions": "Times that something outside the job took pods of it.",
}


class Metrics:
    """One registry per operator, so that tests can have several."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.reconciles = Counter(
            f"{PREFIX}reconcile", "Reconciles by result.", ["result"], registry=registry
        )
        self.reconcile_seconds = Histogram(
            f"{PREFIX}reconcile_seconds", "Duration of a reconcile.", registry=registry
        )
        self.depth = Gauge(
            f"{PREFIX}workqueue_depth", "Jobs that wait for a worker.", registry=registry
        )
        self.retries = Counter(
            f"{PREFIX}retries", "Reconciles repeated after an error.", registry=registry
        )
        self.requests = Counter(
            f"{PREFIX}api_requests",
            "Requests to the API server.",
            ["verb", "code"],
            registry=registry,
        )
        self.leader = Gauge(f"{PREFIX}leader", "1 while the Lease is held.", registry=registry)
        self.oldest_wait = Gauge(
            f"{PREFIX}workqueue_oldest_wait_seconds",
            "How long the job that has waited longest for a worker has waited.",
            registry=registry,
        )
        self.watch_event = Gauge(
            f"{PREFIX}watch_event_timestamp_seconds",
            "Unix time of the last event of any watch.",
            registry=registry,
        )
        self.phase = Gauge(
            f"{PREFIX}job_phase", "1 for the job's phase.", [*JOB, "phase"], registry=registry
        )
        self._of_job = {
            name: Gauge(f"{PREFIX}job_{name}", text, JOB, registry=registry)
            for name, text in JOB_GAUGES.items()
        }
        self._pods = {
            name: Gauge(f"{PREFIX}job_pods_{name}", text, [*JOB, "role"], registry=registry)
            for name, text in (("desired", "Pods wanted, by role."), ("ready", "Those ready."))
        }
        self.condition = Gauge(
            f"{PREFIX}job_condition", "1 if a condition of the job's status is True, else 0.",
            [*JOB, "condition"], registry=registry,
        )  # fmt: skip
        self.pods_disrupted = Counter(
            f"{PREFIX}job_pods_disrupted",
            "Pods that something outside the job took, replaced since this process started.",
            [*JOB, "role", "reason"],
            registry=registry,
        )
        self._phases: dict[Key, Phase] = {}

    def show_job(self, key: Key, status: ProRLJobStatus) -> None:
        """Sets the job's series; one series per phase, the current one only."""
        old = self._phases.get(key)
        if old is not None and old is not status.phase:
            self.phase.remove(*key, old)
        self._phases[key] = status.phase
        self.phase.labels(*key, status.phase).set(1)
        for name, value in _job_values(status).items():
            if value is not None:
                self._of_job[name].labels(*key).set(value)
            else:
                self._of_job[name].remove(*key)
        for role in Role:
            pods = getattr(status.roles, role.value)
            self._pods["desired"].labels(*key, role).set(pods.desired)
            self._pods["ready"].labels(*key, role).set(pods.ready)
        self._show_conditions(key, status)

    def _show_conditions(self, key: Key, status: ProRLJobStatus) -> None:
        known = {condition.type: condition.status for condition in status.conditions}
        for kind in ConditionType:
            if kind in known:
                self.condition.labels(*key, kind).set(known[kind] == "True")
            else:
                self.condition.remove(*key, kind)

    def drop_job(self, key: Key) -> None:
        """Removes all series of a job that is gone."""
        phase = self._phases.pop(key, None)
        if phase is None:
            return
        self.phase.remove(*key, phase)
        for gauge in self._of_job.values():
            gauge.remove(*key)
        for gauge in self._pods.values():
            for role in Role:
                gauge.remove(*key, role)
        for kind in ConditionType:
            self.condition.remove(*key, kind)
        labels = dict(zip(JOB, key, strict=True))
        self.pods_disrupted.remove_by_labels(labels)

    def render(self) -> bytes:
        """Prometheus text format."""
        return generate_latest(self.registry)


def _job_values(status: ProRLJobStatus) -> dict[str, float | None]:
    """Values of JOB_GAUGES; None for what is not known yet."""
    progress, checkpoint = status.progress, status.checkpoint
    return {
        "step": progress.step if progress else 0,
        "total_steps": progress.total_steps if progress else None,
        "step_timestamp_seconds": _unix(progress.last_time if progress else None),
        "checkpoint_step": checkpoint.last_step if checkpoint else None,
        "checkpoint_timestamp_seconds": _unix(checkpoint.last_time if checkpoint else None),
        "reference_version": status.reference.version if status.reference else None,
        "restarts": status.restarts,
        "restarts_counted": status.restarts_counted,
        "disruptions": status.disruptions,
    }


def _unix(time: str | None) -> float | None:
    return datetime.fromisoformat(time).timestamp() if time else None
