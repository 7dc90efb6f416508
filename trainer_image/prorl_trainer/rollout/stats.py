"""What an engine says of its work; no torch, ray or vllm here."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineStats:
    """At one moment; None: this engine cannot tell. Counts begin at 0 with the engine and only
    grow. Tokens are counted while they are drawn, not when their completion ends."""

    requests_running: int | None = None
    """Being drawn."""
    requests_waiting: int | None = None
    """With the engine, but not being drawn: its batch or its KV cache is full."""
    kv_cache_usage_ratio: float | None = None
    """Share of the KV cache that requests use, 0 to 1."""
    preemptions: int = 0
    """Requests that were put back for want of KV cache, as often as they were."""
    prompt_tokens: int = 0
    """Read, those from the prefix cache included."""
    generated_tokens: int = 0
    prefix_cache_queried_tokens: int = 0
    """Prompt tokens that were looked up in the prefix cache."""
    prefix_cache_hit_tokens: int = 0
    """Of these, found there."""

    @property
    def progress(self) -> int:
        """Grows while the engine works; prompts that are read count too."""
        return self.prompt_tokens + self.generated_tokens
