"""The operator's metrics, named after those of controller-runtime."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.process_collector import ProcessCollector
from prorl_api.status import Phase, ProRLJobStatus

from prorl_operator.plan.observed import Key

PREFIX = "prorl_operator_"


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
        job = ["namespace", "name"]
        self.phase = Gauge(
            f"{PREFIX}job_phase", "1 for the job's phase.", [*job, "phase"], registry=registry
        )
        self.step = Gauge(f"{PREFIX}job_step", "Finished RL steps.", job, registry=registry)
        self._phases: dict[Key, Phase] = {}

    def show_job(self, key: Key, status: ProRLJobStatus) -> None:
        """Sets the job's series; one series per phase, the current one only."""
        old = self._phases.get(key)
        if old is not None and old is not status.phase:
            self.phase.remove(*key, old)
        self._phases[key] = status.phase
        self.phase.labels(*key, status.phase).set(1)
        self.step.labels(*key).set(status.progress.step if status.progress else 0)

    def drop_job(self, key: Key) -> None:
        """Removes all series of a job that is gone."""
        phase = self._phases.pop(key, None)
        if phase is not None:
            self.phase.remove(*key, phase)
            self.step.remove(*key)

    def render(self) -> bytes:
        """Prometheus text format."""
        return generate_latest(self.registry)
