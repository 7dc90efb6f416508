"""How far a vLLM engine has come: it reports after each of its iterations."""

from typing import Any

from vllm.v1.metrics.loggers import StatLoggerBase


class TokenCount:
    """Counts generated tokens, of finished and of unfinished completions."""

    def __init__(self) -> None:
        self.tokens = 0

    def logger(self, _config: Any, _engine_index: int = 0) -> StatLoggerBase:
        """A logger for vLLM that counts here."""
        return _Logger(self)


class _Logger(StatLoggerBase):
    def __init__(self, count: TokenCount) -> None:
        self._count = count

    def record(self, scheduler_stats: Any, iteration_stats: Any, *_: Any, **__: Any) -> None:
        """After each iteration of the engine; prompts that are read count as progress too."""
        if iteration_stats is not None:
            stats = iteration_stats
            self._count.tokens += stats.num_generation_tokens + stats.num_prompt_tokens

    def log_engine_initialized(self) -> None:
        """Nothing."""
