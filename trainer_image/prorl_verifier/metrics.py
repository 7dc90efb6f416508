"""The service's Prometheus metrics."""

from prometheus_client import CollectorRegistry, Counter, Enum, Gauge, Histogram

from prorl_verifier.sandbox.levels import WORDS, Isolation
from prorl_verifier.wire import Verdict

BUCKETS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30)


class Metrics:
    """All metrics of one service."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._verdicts = Counter(
            "prorl_verifier_verdicts", "Verdicts given.", ["verifier", "outcome"],
            registry=self.registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "prorl_verifier_verify_seconds", "Time of a worker for one item.", ["verifier"],
            registry=self.registry, buckets=BUCKETS,
        )  # fmt: skip
        self.queue = Gauge(
            "prorl_verifier_queue_depth", "Items that wait for a worker.", registry=self.registry
        )
        self.restarts = Counter(
            "prorl_verifier_worker_restarts", "Workers replaced.", registry=self.registry
        )

        self._isolation = Enum(
            "prorl_verifier_isolation", "How programs are confined.",
            registry=self.registry, states=WORDS,
        )  # fmt: skip

    def isolation(self, level: Isolation) -> None:
        """Says how programs are confined."""
        self._isolation.state(level.word)

    def verdict(self, verifier: str, verdict: Verdict) -> None:
        """Counts one verdict."""
        self._verdicts.labels(verifier, verdict.outcome).inc()
        self._seconds.labels(verifier).observe(verdict.seconds)
