"""A rollout as scripted: prompts, engines that take their time, verdicts; and a loop around it."""

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from prorl_api.job import ProRLJobSpec
from prorl_trainer.ahead import Collector
from prorl_trainer.checkpoint.state import RunState
from prorl_trainer.collect import Sampler
from prorl_trainer.collected import Collected
from prorl_trainer.journal.journal import Journal
from prorl_trainer.types import (
    Completion,
    FinishReason,
    GenerationRequest,
    Group,
    OnCompletion,
    Prompt,
    Verdict,
)

SET: dict[str, Any] = {"name": "sums", "domain": "math", "uri": "gym://reasoning-gym/chain_sum"}
TOKENS = 8
START = RunState(job_uid="u", job_name="j", spec_hash="h")


def make_spec(
    *,
    staleness: int = 0,
    oversample: float = 1.0,
    steps: int = 10,
    prompts: int = 4,
    samples: int = 2,
) -> ProRLJobSpec:
    return ProRLJobSpec.model_validate(
        {
            "model": {"uri": "tiny://llama"},
            "data": {"train": [SET]},
            "rollout": {"maxStaleness": staleness},
            "algorithm": {
                "steps": steps,
                "promptsPerStep": prompts,
                "samplesPerPrompt": samples,
                "updatesPerStep": 1,
                "dynamicSampling": {"oversample": oversample, "maxRounds": 100},
            },
        }
    )


def ordinal_of(request: GenerationRequest) -> int:
    return int(request.request_id.split("-")[2])


def sample_of(completion: Completion) -> int:
    return int(completion.request_id.split("-")[3])


def chance(*parts: object) -> float:
    """In [0, 1), a function of its arguments."""
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return int.from_bytes(digest[:4], "big") / 2**32


@dataclass
class World:
    """Prompts, engines and verifier. `seconds` of a request may depend on it; `has_signal` of a
    completion on its prompt and on the version that wrote its last token."""

    seconds: Callable[[GenerationRequest], float] = lambda _: 0.0
    has_signal: Callable[[int, int], bool] = lambda _ordinal, _version: True
    workers: int = 10_000
    """Requests that are drawn at once."""
    version: int = 0
    lag: int = 0
    """Versions that the engines are behind what they were sent: a fault."""
    in_flight: int = 0
    drawn: list[int] = field(default_factory=list)
    """Ordinals in the order of the requests for their first samples."""
    failing: Exception | None = None
    holds: int = 0
    fingerprint: str = "d"
    journal: Journal | None = None

    def __post_init__(self) -> None:
        self._free = asyncio.Semaphore(self.workers)

    def prompt(self, ordinal: int) -> Prompt:
        return Prompt(
            ordinal=ordinal, set_name="sums", domain="math", verifier="math-verify", text="?",
            token_ids=(1,), answer="2",
        )  # fmt: skip

    def validation(self) -> Sequence[Prompt]:
        return []

    async def generate(
        self, requests: Sequence[GenerationRequest], on_completion: OnCompletion
    ) -> None:
        self.drawn.append(ordinal_of(requests[0]))
        if self.failing is not None:
            raise self.failing
        await asyncio.gather(*(self._one(request, on_completion) for request in requests))

    async def _one(self, request: GenerationRequest, on_completion: OnCompletion) -> None:
        async with self._free:
            self.in_flight += 1
            try:
                versions = []
                for _ in range(TOKENS):
                    await asyncio.sleep(self.seconds(request) / TOKENS)
                    versions.append(max(0, self.version - self.lag))
            finally:
                self.in_flight -= 1
        starts = [i for i, v in enumerate(versions) if i == 0 or v != versions[i - 1]]
        completion = Completion(
            request_id=request.request_id, token_ids=(2,) * TOKENS, mask=(True,) * TOKENS,
            logprobs=(-1.0,) * TOKENS, finish_reason=FinishReason.STOP, text="",
            weight_versions=tuple(f"1-{versions[i]}" for i in starts), weight_starts=tuple(starts),
        )  # fmt: skip
        on_completion(completion)

    async def verify(self, prompt: Prompt, completion: Completion) -> Verdict:
        last = int(completion.weight_versions[-1].removeprefix("1-"))
        signal = self.has_signal(prompt.ordinal, last)
        return Verdict(score=float(signal and sample_of(completion) == 0))

    def hold(self) -> None:
        self.holds += 1

    def collector(self, spec: ProRLJobSpec) -> Collector:
        sampler = Sampler(generate=self.generate, verifier=self, journal=self.journal)
        return Collector(spec, self, sampler, hold=self.hold)


def after(state: RunState, out: Collected) -> RunState:
    """The state when the step is learned from, as loop.step makes it."""
    return state.model_copy(update={"step": state.step + 1, **out.frontier})


def ordinals(groups: Sequence[Group]) -> list[int]:
    return [group.prompt.ordinal for group in groups]


async def train(
    world: World,
    spec: ProRLJobSpec,
    *,
    update_seconds: Callable[[int], float] = lambda _: 0.0,
    state: RunState = START,
) -> list[Collected]:
    """Steps to the end: collect, learn, publish in flight."""
    collector, found = world.collector(spec), []
    while state.step < spec.algorithm.steps:
        out = await collector.collect(state)
        found.append(out)
        if spec.rollout.max_staleness == 0:
            assert world.in_flight == 0, "generation and learning take turns"
        await asyncio.sleep(update_seconds(state.step))
        state = after(state, out)
        world.version = state.step
    await collector.close()
    assert world.in_flight == 0
    return found
