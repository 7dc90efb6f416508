"""The service's Prometheus metrics."""

from bisect import bisect_left
from collections import Counter as Counted
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import cache
from itertools import accumulate

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Enum,
    Gauge,
    Info,
    disable_created_metrics,
)
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

from prorl_verifier.sandbox.levels import WORDS, Isolation
from prorl_verifier.wire import INFRA_ERROR, Verdict

disable_created_metrics()  # one more series per counter, which nobody reads

BUCKETS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)


class Times(Collector):
    """A histogram of a worker's seconds per item, by verifier. It counts many at once, for less
    than prometheus_client's own takes for each."""

    def __init__(self) -> None:
        self._labelnames = ("verifier",)  # where prometheus_client's own have them
        self._counts: defaultdict[str, Counted[int]] = defaultdict(Counted)
        self._sums: defaultdict[str, float] = defaultdict(float)

    def observe(self, verifier: str, seconds: list[float]) -> None:
        """Adds times of that verifier."""
        self._counts[verifier].update([bisect_left(BUCKETS, time_s) for time_s in seconds])
        self._sums[verifier] += sum(seconds)

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """For the registry."""
        family = HistogramMetricFamily(
            "prorl_verifier_verify_seconds", "Time of a worker for one item.",
            labels=self._labelnames,
        )  # fmt: skip
        bounds = [*map(str, BUCKETS), "+Inf"]
        for verifier, counts in self._counts.items():
            numbers = accumulate([counts[place] for place in range(len(bounds))])
            buckets = list(zip(bounds, numbers, strict=True))
            family.add_metric([verifier], buckets, self._sums[verifier])
        yield family


class Metrics:
    """All metrics of one service."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._verdicts = Counter(
            "prorl_verifier_verdicts", "Verdicts given.", ["verifier", "outcome"],
            registry=self.registry,
        )  # fmt: skip
        self._verdicts_of = cache(self._verdicts.labels)  # a look-up costs more than to count
        self._times = Times()
        self.registry.register(self._times)
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

    def verdicts(self, verifier: str, given: list[Verdict]) -> None:
        """Counts verdicts of one verifier."""
        for outcome, number in Counted([verdict.outcome for verdict in given]).items():
            self._verdicts_of(verifier, outcome).inc(number)
        self._times.observe(verifier, [verdict.seconds for verdict in given])

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
