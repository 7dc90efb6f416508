"""Groups with a signal for one step: generate, verify each completion as it ends, keep, refill."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from prorl_api.spec_algorithm import AlgorithmSpec

from prorl_trainer.algo.dynamic_sampling import Refill, num_to_draw, plan_refill
from prorl_trainer.algo.staleness import staleness_metrics
from prorl_trainer.checkpoint.state import RunState
from prorl_trainer.collected import Collected, Drawn
from prorl_trainer.errors import NoSignalError
from prorl_trainer.journal.journal import Journal, Page
from prorl_trainer.protocols import PromptSource, Verifier
from prorl_trainer.types import (
    Completion,
    FinishReason,
    GenerationRequest,
    Group,
    OnCompletion,
    Prompt,
    Verdict,
)

Generate = Callable[[Sequence[GenerationRequest], OnCompletion], Awaitable[None]]
"""See protocols.Engine.generate."""


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
    journal: Journal | None = None
    """Keeps what is finished; None: nobody does."""
    page: Page | None = None

    def at(self, state: RunState) -> "Sampler":
        """For the step after the state: groups are looked for in the journal, and kept there."""
        return self if self.journal is None else replace(self, page=self.journal.page(state))


async def fill(
    out: Collected, spec: AlgorithmSpec, prompts: PromptSource, sampler: Sampler
) -> None:
    """Draws until promptsPerStep groups carry a signal. Raises NoSignalError."""
    sampling, wanted = spec.dynamic_sampling, spec.prompts_per_step
    while True:
        refill = plan_refill(
            num_kept=len(out.kept),
            num_wanted=wanted,
            rounds_done=out.rounds,
            max_rounds=sampling.max_rounds,
        )
        if refill is Refill.NO_SIGNAL:
            raise NoSignalError(
                f"Only {len(out.kept)} of {wanted} groups had differing rewards after "
                f"{out.rounds} rounds: the tasks are too easy or too hard for the model."
            )
        if refill is not Refill.DRAW:
            return
        missing = wanted - len(out.kept)
        number = num_to_draw(num_missing=missing, oversample=sampling.oversample)
        batch = [prompts.prompt(ordinal) for ordinal in out.next_prompts(number)]
        drawn = await draw(batch, spec, sampler, num_samples=spec.samples_per_prompt, name="train")
        out.add(drawn, keep_all=not sampling.enabled)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Judged:
    """A group, and when it got so far: times of the event loop's clock."""

    group: Group
    generated: float
    judged: float
    replayed: bool = False
    """It was finished before, and taken from the journal."""


async def draw(
    prompts: Sequence[Prompt],
    spec: AlgorithmSpec,
    sampler: Sampler,
    *,
    num_samples: int,
    name: str,
) -> Drawn:
    """One group per prompt; each completion is verified while others are still being generated."""
    clock = asyncio.get_running_loop().time
    start = clock()
    requests = [build_requests(p, spec, num_samples=num_samples, name=name) for p in prompts]
    pairs = zip(prompts, requests, strict=True)
    found = await _all_or_none([_draw_group(prompt, of, sampler) for prompt, of in pairs])
    generated = max((one.generated for one in found), default=start)
    return Drawn(
        groups=[one.group for one in found],
        generate_seconds=generated - start,
        verify_seconds=clock() - generated,
        verify_latencies=tuple(one.judged - one.generated for one in found if not one.replayed),
        replayed=frozenset(one.group.prompt.ordinal for one in found if one.replayed),
    )


async def _draw_group(
    prompt: Prompt, requests: Sequence[GenerationRequest], sampler: Sampler
) -> _Judged:
    """From the journal if it is there, else from the engines, and then into the journal."""
    if sampler.page is None:
        return await _generate_group(prompt, requests, sampler)
    group = await sampler.page.find(prompt, requests)
    if group is not None:
        now = asyncio.get_running_loop().time()
        return _Judged(group=group, generated=now, judged=now, replayed=True)
    found = await _generate_group(prompt, requests, sampler)
    await sampler.page.append(found.group)
    return found


async def _generate_group(
    prompt: Prompt, requests: Sequence[GenerationRequest], sampler: Sampler
) -> _Judged:
    clock = asyncio.get_running_loop().time
    completions: dict[str, Completion] = {}
    verdicts: dict[str, asyncio.Future[Verdict]] = {}

    def judge(completion: Completion) -> None:
        completions[completion.request_id] = completion
        call = sampler.verifier.verify(prompt, completion)
        verdicts[completion.request_id] = asyncio.ensure_future(call)

    try:
        await sampler.generate(requests, judge)
        generated = clock()
        ids = [request.request_id for request in requests]
        group = Group(
            prompt=prompt,
            completions=tuple(completions[i] for i in ids),
            verdicts=tuple(await asyncio.gather(*(verdicts[i] for i in ids))),
        )
        return _Judged(group=group, generated=generated, judged=clock())
    finally:
        await _end(verdicts.values())


async def _all_or_none(calls: Sequence[Coroutine[None, None, _Judged]]) -> list[_Judged]:
    """Results in order. When one fails the others are ended first: they would go on drawing, with
    weights and for a step that the loop has left."""
    tasks = [asyncio.ensure_future(call) for call in calls]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        await _end(tasks)


async def _end(tasks: Iterable[asyncio.Future[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def rollout_metrics(out: Collected) -> dict[str, float]:
    """Means over everything drawn, before dynamic sampling; over what was carried in a step that
    lives on that."""
    groups = out.drawn or out.kept
    completions = [c for g in groups for c in g.completions]
    lengths = [len(c.token_ids) for c in completions]
    truncated = sum(c.finish_reason is FinishReason.LENGTH for c in completions)
    values = {
        "response_tokens_mean": sum(lengths) / len(lengths),
        "truncated_ratio": truncated / len(completions),
        "empty_completions": float(sum(not any(c.mask) for c in completions)),
    }
    return values | _counts(out) | staleness_metrics(out.kept, out.step) | _reward_means(groups)


def _counts(out: Collected) -> dict[str, float]:
    """What this step has drawn and done; nothing of it was counted before."""
    ratio = {"kept_ratio": out.num_usable / len(out.drawn)} if out.drawn else {}
    replayed = [g for g in out.drawn if g.prompt.ordinal in out.replayed]
    again = {"replayed": float(len(replayed)), "replayed_tokens": _num_tokens(replayed)}
    return (
        (again if replayed else {})
        | ratio
        | {
            "tokens": _num_tokens(out.drawn),
            "unjudged": float(sum(v.score is None for g in out.drawn for v in g.verdicts)),
            "rounds": float(out.rounds),
            "stale_dropped": float(out.stale_dropped),
            "surplus_dropped": float(out.surplus_dropped),
            "carried": float(len(out.carried)),
            "generate_seconds": out.generate_seconds,
            "verify_seconds": out.verify_seconds,
        }
    )


def _num_tokens(groups: Sequence[Group]) -> float:
    return float(sum(len(c.token_ids) for g in groups for c in g.completions))


def _reward_means(groups: Sequence[Group]) -> dict[str, float]:
    by_domain: dict[str, list[float]] = {}
    for group in groups:
        by_domain.setdefault(group.prompt.domain, []).extend(group.scores)
    scores = [score for values in by_domain.values() for score in values]
    means = {f"reward_mean_{d}": sum(v) / len(v) for d, v in sorted(by_domain.items()) if v}
    return means | ({"reward_mean": sum(scores) / len(scores)} if scores else {})
