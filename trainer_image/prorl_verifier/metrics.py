"""The service's Prometheus metrics."""

from collections import Counter as Counted
from collections.abc import Callable
from functools import cache

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Enum,
    Gauge,
    Histogram,
    Info,
    disable_created_metrics,
)

from prorl_verifier.sandbox.levels import WORDS, Isolation
from prorl_verifier.wire import INFRA_ERROR, Verdict

disable_created_metrics()  # one more series per counter, which nobody reads

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
        # Looking labels up costs more than to count.
        self._verdicts_of = cache(self._verdicts.labels)
        self._seconds_of = cache(self._seconds.labels)
        self._queues: list[Callable[[], int]] = []
        queue = Gauge(
            "prorl_verifier_queue_depth", "Items that wait for a worker.", registry=self.registry
        )
        queue.set_function(lambda: sum(depth() for depth in self._queues))
        self.restarts = Counter(
            "prorl_verifier_worker_restarts", "Workers replaced.", registry=self.registry
        )
        self.bytes_in_flight = Gauge(
            "prorl_verifier_in_flight_bytes", "Bodies that are being read or judged.",
            registry=self.registry,
        )  # fmt: skip
        self.refused = Counter(
            "prorl_verifier_refused_batches", "Batches refused, by HTTP status.", ["status"],
            registry=self.registry,
        )  # fmt: skip
        self._isolation = Enum(
            "prorl_verifier_isolation", "How programs are confined.",
            registry=self.registry, states=WORDS,
        )  # fmt: skip
        self._info = Info(
            "prorl_verifier", "What verdicts depend on beyond the item.", registry=self.registry
        )
        self._canary_failures = Counter(
            "prorl_verifier_canary_failures", "Wrong verdicts of canaries.", ["verifier"],
            registry=self.registry,
        )  # fmt: skip
        self._canary_infra_errors = Counter(
            "prorl_verifier_canary_infra_errors", "Canaries that were not judged.", ["verifier"],
            registry=self.registry,
        )  # fmt: skip
        self.canary_round = Gauge(
            "prorl_verifier_canary_last_right_timestamp_seconds",
            "End of the last round of canaries in which every verdict was right.",
            registry=self.registry,
        )

    def describe(self, isolation: Isolation, version: str, dataset_hash: str) -> None:
        """Says how programs are confined and what judges."""
        self._isolation.state(isolation.word)
        self._info.info({"version": version, "dataset_hash": dataset_hash})

    def verdicts(self, given: list[tuple[str, Verdict]]) -> None:
        """Counts verdicts, each with the verifier that it is of."""
        pairs = Counted((verifier, verdict.outcome) for verifier, verdict in given)
        for labels, number in pairs.items():
            self._verdicts_of(*labels).inc(number)
        for verifier, verdict in given:
            self._seconds_of(verifier).observe(verdict.seconds)

    def watch_queue(self, depth: Callable[[], int]) -> None:
        """Adds what waits there to the queue's depth, whenever somebody looks."""
        self._queues.append(depth)

    def expect_canary(self, verifier: str) -> None:
        """Shows the verifier's counters from the start: a rate needs a zero before the first."""
        self._canary_failures.labels(verifier)
        self._canary_infra_errors.labels(verifier)

    def canary(self, verifier: str, verdict: Verdict, *, wrong: bool) -> None:
        """Counts one verdict of a canary, which is not among the verdicts given."""
        if wrong:
            self._canary_failures.labels(verifier).inc()
        if verdict.outcome == INFRA_ERROR:
            self._canary_infra_errors.labels(verifier).inc()
