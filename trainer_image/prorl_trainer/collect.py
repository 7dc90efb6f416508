"""Groups with a signal for one step: generate, verify as completions finish, keep, refill."""

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field

from prorl_api.spec_algorithm import AlgorithmSpec

from prorl_trainer.algo.dynamic_sampling import Refill, has_signal, plan_refill
from prorl_trainer.errors import NoSignalError
from prorl_trainer.types import (
    Completion,
    FinishReason,
    GenerationRequest,
    Group,
    Prompt,
    PromptSource,
    Verifier,
)

Generate = Callable[[Sequence[GenerationRequest]], Awaitable[list[Completion]]]


@dataclass(kw_only=True, slots=True)
class Collected:
    """What a step has drawn."""

    kept: list[Group] = field(default_factory=list)
    drawn: list[Group] = field(default_factory=list)
    """All groups, the kept ones included."""
    next_ordinal: int
    rounds: int = 0
    generate_seconds: float = 0.0
    """Time until the last completion, summed over rounds; verification of others overlaps it."""
    verify_seconds: float = 0.0
    """Time from the last completion to the last verdict, summed over rounds."""

    def add(self, drawn: "Drawn", *, keep_all: bool) -> None:
        """Adds a round; keeps the groups with a signal, or every one that was judged."""
        self.rounds += 1
        self.drawn += drawn.groups
        for group in drawn.groups:
            scores = [score for _, score in group.trainable]
            if (keep_all and scores) or has_signal(scores):
                self.kept.append(group)
        self.generate_seconds += drawn.generate_seconds
        self.verify_seconds += drawn.verify_seconds


def request_seed(*parts: int | str) -> int:
    """A 31-bit seed that depends on all parts and on nothing else."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def build_requests(
    prompt: Prompt, spec: AlgorithmSpec, *, num_samples: int, name: str
) -> list[GenerationRequest]:
    """The group's requests; `name` makes ids and seeds unique to the use."""
    return [
        GenerationRequest(
            request_id=f"{name}-{prompt.set_name}-{prompt.ordinal}-{sample}",
            prompt_token_ids=prompt.token_ids,
            max_tokens=spec.sampling.max_response_tokens,
            temperature=spec.sampling.temperature,
            seed=request_seed(spec.seed, name, prompt.set_name, prompt.ordinal, sample),
        )
        for sample in range(num_samples)
    ]


@dataclass(frozen=True, kw_only=True, slots=True)
class Sampler:
    """What turns prompts into judged groups."""

    generate: Generate
    verifier: Verifier


@dataclass(frozen=True, kw_only=True, slots=True)
class Drawn:
    """One generation round, in the order of the prompts."""

    groups: list[Group]
    generate_seconds: float
    """Time until the last completion; verification of others overlaps it."""
    verify_seconds: float
    """Time from the last completion to the last verdict."""


async def collect(
    spec: AlgorithmSpec, prompts: PromptSource, sampler: Sampler, *, first_ordinal: int
) -> Collected:
    """Draws until promptsPerStep groups carry a signal. Raises NoSignalError."""
    out = Collected(next_ordinal=first_ordinal)
    wanted = spec.prompts_per_step
    while True:
        ordinals = range(out.next_ordinal, out.next_ordinal + wanted - len(out.kept))
        out.next_ordinal = ordinals.stop
        batch = [prompts.prompt(ordinal) for ordinal in ordinals]
        out.add(
            await draw(batch, spec, sampler, num_samples=spec.samples_per_prompt, name="train"),
            keep_all=not spec.dynamic_sampling.enabled,
        )
        refill = plan_refill(
            num_kept=len(out.kept),
            num_wanted=wanted,
            rounds_done=out.rounds,
            max_rounds=spec.dynamic_sampling.max_rounds,
        )
        if refill is Refill.NO_SIGNAL:
            raise NoSignalError(
                f"Only {len(out.kept)} of {wanted} groups had differing rewards after "
                f"{out.rounds} rounds: the tasks are too easy or too hard for the model."
            )
        if refill is not Refill.DRAW:
            return out


async def draw(
    prompts: Sequence[Prompt],
    spec: AlgorithmSpec,
    sampler: Sampler,
    *,
    num_samples: int,
    name: str,
) -> Drawn:
    """One group per prompt; each is verified while others are still being generated."""
    start = time.monotonic()
    generated = [start]

    async def one(prompt: Prompt) -> Group:
        requests = build_requests(prompt, spec, num_samples=num_samples, name=name)
        completions = await sampler.generate(requests)
        generated.append(time.monotonic())
        verdicts = await sampler.verifier.verify(prompt, completions)
        return Group(prompt=prompt, completions=tuple(completions), verdicts=verdicts)

    return Drawn(
        groups=await _all_or_none([one(prompt) for prompt in prompts]),
        generate_seconds=max(generated) - start,
        verify_seconds=time.monotonic() - max(generated),
    )


async def _all_or_none(calls: Sequence[Coroutine[None, None, Group]]) -> list[Group]:
    """Results in order. When one fails the others are ended first: they would go on drawing, with
    weights and for a step that the loop has left."""
    tasks = [asyncio.ensure_future(call) for call in calls]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def rollout_metrics(out: Collected) -> dict[str, float]:
    """Means over everything drawn, before dynamic sampling."""
    completions = [c for g in out.drawn for c in g.completions]
    lengths = [len(c.token_ids) for c in completions]
    truncated = sum(c.finish_reason is FinishReason.LENGTH for c in completions)
    values = {
        "response_tokens_mean": sum(lengths) / len(lengths),
        "truncated_ratio": truncated / len(completions),
        "kept_ratio": len(out.kept) / len(out.drawn),
        "tokens": float(sum(lengths)),
        "rounds": float(out.rounds),
        "empty_completions": float(sum(not any(c.mask) for c in completions)),
        "unjudged": float(sum(v.score is None for g in out.drawn for v in g.verdicts)),
        "generate_seconds": out.generate_seconds,
        "verify_seconds": out.verify_seconds,
    }
    return values | _reward_means(out.drawn)


def _reward_means(groups: Sequence[Group]) -> dict[str, float]:
    by_domain: dict[str, list[float]] = {}
    for group in groups:
        by_domain.setdefault(group.prompt.domain, []).extend(group.scores)
    scores = [score for values in by_domain.values() for score in values]
    means = {f"reward_mean_{d}": sum(v) / len(v) for d, v in sorted(by_domain.items()) if v}
    return means | ({"reward_mean": sum(scores) / len(scores)} if scores else {})
