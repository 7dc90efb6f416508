"""What the engines say of their work, as metrics of the coordinator."""

import logging
from itertools import count

from prometheus_client import CollectorRegistry, Counter, Gauge

from prorl_trainer.rollout.stats import EngineStats

log = logging.getLogger(__name__)

ENGINE_GAUGES = {
    "requests_running": "Requests that an engine is drawing.",
    "requests_waiting": "Requests that wait in an engine: its batch or its KV cache is full.",
    "kv_cache_usage_ratio": "Share of an engine's KV cache that requests use.",
}
ENGINE_COUNTERS = {
    "preemptions": "Requests that engines put back for want of KV cache.",
    "prompt_tokens": "Prompt tokens that engines have read, those from prefix caches included.",
    "generated_tokens": "Response tokens that engines have drawn, whatever became of them.",
    "prefix_cache_queried_tokens": "Prompt tokens that engines looked up in their prefix caches.",
    "prefix_cache_hit_tokens": "Prompt tokens that engines found there.",
}
"""Fields of EngineStats and their texts. Gauges are per engine; counters are sums over all engines
of the coordinator's life, so that the loss of one takes nothing back."""


class EngineMetrics:
    """The label of an engine is the lowest number that no other one has: a replacement takes over
    the series of what it replaces, and there are never more than there were engines at once."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._gauges = {
            field: Gauge(f"prorl_engine_{field}", text, ["engine"], registry=registry)
            for field, text in ENGINE_GAUGES.items()
        }
        self._counters = {
            field: Counter(f"prorl_engine_{field}", text, registry=registry)
            for field, text in ENGINE_COUNTERS.items()
        }
        self._known: dict[str, tuple[int, EngineStats]] = {}
        """Engine -> its number and its last answer."""

    def told(self, engine: str, stats: EngineStats) -> None:
        """An engine's newest answer. Raises ValueError if a count of it has gone back."""
        number, before = self._known.get(engine) or (self._number(engine), EngineStats())
        self._known[engine] = (number, stats)
        for field, gauge in self._gauges.items():
            if (value := getattr(stats, field)) is not None:
                gauge.labels(number).set(value)
        for field, counter in self._counters.items():
            counter.inc(getattr(stats, field) - getattr(before, field))

    def gone(self, engine: str) -> None:
        """Its series end; what it had counted stays."""
        if (known := self._known.pop(engine, None)) is None:
            return
        for gauge in self._gauges.values():
            gauge.remove(known[0])

    def _number(self, engine: str) -> int:
        taken = {number for number, _ in self._known.values()}
        number = next(number for number in count() if number not in taken)
        log.info("engine=%s is engine %d in metrics", engine, number)
        return number
