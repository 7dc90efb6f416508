"""What a vLLM engine says of its work: it reports after each of its iterations."""

from dataclasses import replace
from typing import Any

from vllm.v1.metrics.loggers import StatLoggerBase

from prorl_trainer.rollout.stats import EngineStats


class StatsTally:
    """Adds up what vLLM reports."""

    def __init__(self) -> None:
        self.stats = EngineStats()

    def logger(self, _config: Any, _engine_index: int = 0) -> StatLoggerBase:
        """A logger for vLLM that adds to this."""
        return _Logger(self)


class _Logger(StatLoggerBase):
    def __init__(self, tally: StatsTally) -> None:
        self._tally = tally

    def record(self, scheduler_stats: Any, iteration_stats: Any, *_: Any, **__: Any) -> None:
        """After each iteration of the engine; either is None where there is nothing to say."""
        if scheduler_stats is not None:
            self._tally.stats = scheduled(self._tally.stats, scheduler_stats)
        if iteration_stats is not None:
            self._tally.stats = iterated(self._tally.stats, iteration_stats)

    def log_engine_initialized(self) -> None:
        """Nothing."""


def scheduled(stats: EngineStats, found: Any) -> EngineStats:
    """With vLLM's SchedulerStats: what is so now, and what was looked up since the last ones."""
    prefixes = found.prefix_cache_stats
    return replace(
        stats,
        requests_running=found.num_running_reqs,
        requests_waiting=found.num_waiting_reqs + found.num_skipped_waiting_reqs,
        kv_cache_usage_ratio=found.kv_cache_usage,
        prefix_cache_queried_tokens=stats.prefix_cache_queried_tokens + prefixes.queries,
        prefix_cache_hit_tokens=stats.prefix_cache_hit_tokens + prefixes.hits,
    )


def iterated(stats: EngineStats, found: Any) -> EngineStats:
    """With vLLM's IterationStats: what one iteration has done."""
    return replace(
        stats,
        preemptions=stats.preemptions + found.num_preempted_reqs,
        prompt_tokens=stats.prompt_tokens + found.num_prompt_tokens,
        generated_tokens=stats.generated_tokens + found.num_generation_tokens,
    )
