"""What it saves to verify each completion as it ends, and what that costs.

    python tests/bench/verify_overlap.py [--prompts 512] [--samples 16] [--repeats 3]

Step: the product's `draw` under a virtual clock: the seconds are simulated, and the same on every
machine. Engines draw --concurrent completions at once; their times are log-normal with sigma 1, cut
off at --longest medians as maxResponseTokens does. Verifiers judge --verifiers at once, log-normal
around --judge-seconds. `per group` keeps what has ended back until its group has ended, `per
completion` does not; the floor is the time of the last completion.

Cost: a real Ray actor with an engine that draws nothing, asked for the same groups: one answer per
group, one per completion, and what the product does (what ends together travels together) with
completions that end together and one by one. CPU seconds of the caller per completion.
"""

import argparse
import asyncio
import math
import random
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import measuring
import ray
from prorl_trainer.collect import Sampler, draw
from prorl_trainer.rollout.actor import CONTROL_CALLS, EngineActor, RayEngine
from prorl_trainer.types import (
    Completion,
    FinishReason,
    GenerationRequest,
    OnCompletion,
    Prompt,
    Verdict,
)
from scripted_rollout import World, make_spec
from virtual_clock import run

TOKENS = 256
CALLS = 256


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--prompts", type=int, default=512)
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--concurrent", type=int, default=2048)
    parser.add_argument("--generate-seconds", type=float, default=20.0, help="median")
    parser.add_argument("--longest", type=float, default=8.0, help="medians")
    parser.add_argument("--verifiers", type=int, default=64)
    parser.add_argument("--judge-seconds", type=float, nargs="+", default=[0.05, 0.5, 1.0, 2.0])
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    compare_steps(options)
    compare_costs(options)
    measuring.describe(measuring.machine())


def log_normal(median_s: float, *seed: object) -> float:
    return median_s * math.exp(random.Random(repr(seed)).gauss(0, 1))


class Verifiers:
    """So many completions are judged at once."""

    def __init__(self, count: int, median_s: float) -> None:
        self._free = asyncio.Semaphore(count)
        self._median_s = median_s

    async def verify(self, _: Prompt, completion: Completion) -> Verdict:
        async with self._free:
            await asyncio.sleep(log_normal(self._median_s, "judge", completion.request_id))
        return Verdict(score=1.0)


def compare_steps(options: argparse.Namespace) -> None:
    rows = []
    for judge_s in options.judge_seconds:
        grouped, floor = step(options, judge_s, per_group=True)
        single, _ = step(options, judge_s, per_group=False)
        measuring.report(
            "verify_overlap", {"judge_seconds": judge_s, "per_group": grouped,
                               "per_completion": single, "floor": floor},
        )  # fmt: skip
        left = [f"{seconds - floor:.1f}" for seconds in (grouped, single)]
        rows.append([judge_s, f"{floor:.0f}", f"{grouped:.0f}", f"{single:.0f}", *left,
                     f"{grouped / single:.2f}"])  # fmt: skip
    head = ["judge s", "floor s", "per group s", "per completion s", "left s, per group",
            "left s, per completion", "ratio"]  # fmt: skip
    measuring.table(head, rows)


def step(options: argparse.Namespace, judge_s: float, *, per_group: bool) -> tuple[float, float]:
    """Seconds of a step, and those until its last completion."""
    median_s = options.generate_seconds

    def draw_seconds(request: GenerationRequest) -> float:
        return min(log_normal(median_s, "draw", request.request_id), options.longest * median_s)

    world = World(seconds=draw_seconds, workers=options.concurrent)

    async def held_back(requests: Sequence[GenerationRequest], hand: OnCompletion) -> None:
        ended: list[Completion] = []
        await world.generate(requests, ended.append)
        for completion in ended:
            hand(completion)

    async def once() -> float:
        sampler = Sampler(
            generate=held_back if per_group else world.generate,
            verifier=Verifiers(options.verifiers, judge_s),
        )
        prompts = [world.prompt(ordinal) for ordinal in range(options.prompts)]
        drawn = await draw(
            prompts, make_spec().algorithm, sampler, num_samples=options.samples, name="train"
        )
        return drawn.generate_seconds

    generated, total = run(once())
    return total, generated


def completion_of(request: GenerationRequest) -> Completion:
    return Completion(
        request_id=request.request_id, token_ids=(2,) * TOKENS, mask=(True,) * TOKENS,
        logprobs=(-1.0,) * TOKENS, finish_reason=FinishReason.STOP, weight_versions=("1-0",),
        text="2" * TOKENS,
    )  # fmt: skip


class InstantEngine:
    """Hands over all completions of a call together, or one by one."""

    def __init__(self, pause_s: float | None) -> None:
        self._pause_s = pause_s

    async def generate(self, requests: Sequence[GenerationRequest], hand: OnCompletion) -> None:
        for request in requests:
            if self._pause_s is not None:
                await asyncio.sleep(self._pause_s)
            hand(completion_of(request))


class ScriptedActor(EngineActor):
    """EngineActor around an instant engine; `whole` is what it would be without streaming."""

    def __init__(self, pause_s: float | None) -> None:
        self._engine: Any = InstantEngine(pause_s)

    async def whole(self, requests: Sequence[GenerationRequest]) -> list[Completion]:
        found: list[Completion] = []
        await self._engine.generate(requests, found.append)
        return found


def compare_costs(options: argparse.Namespace) -> None:
    ray.init(
        num_cpus=1, include_dashboard=False, object_store_memory=200_000_000,
        _node_ip_address="127.0.0.1", log_to_driver=False,
    )  # fmt: skip
    rows = []
    for way, pause_s in (("one answer per group", None), ("streamed, ending together", None),
                         ("streamed, one by one", 0.002)):  # fmt: skip
        cpu, wall = asyncio.run(cost(options, way, pause_s))
        measuring.report("verify_overlap_cost", {"way": way, "cpu_ms": cpu, "wall_s": wall})
        rows.append([way, measuring.shown(cpu, 3), measuring.shown(wall)])
    ray.shutdown()
    measuring.table(["way", "caller's CPU ms per completion", "all groups, s"], rows)


async def cost(
    options: argparse.Namespace, way: str, pause_s: float | None
) -> tuple[measuring.Row, measuring.Row]:
    actor = ray.remote(num_cpus=0, max_concurrency=CALLS + CONTROL_CALLS)(ScriptedActor).remote(
        pause_s
    )
    engine = RayEngine(actor, "scripted", "", max_generating=CALLS)
    slots = asyncio.Semaphore(CALLS)

    async def whole(requests: Sequence[GenerationRequest], hand: OnCompletion) -> None:
        async with slots:
            for completion in await actor.whole.remote(list(requests)):
                hand(completion)

    call = engine.generate if way.startswith("streamed") else whole
    cpu, wall = [], []
    for _ in range(options.repeats + 1):
        begin, used = time.monotonic(), time.process_time()
        await draw_all(options, call)
        wall.append(time.monotonic() - begin)
        cpu.append((time.process_time() - used) * 1e3 / (options.prompts * options.samples))
    engine.close()
    return measuring.spread(cpu[1:]), measuring.spread(wall[1:])


async def draw_all(
    options: argparse.Namespace,
    generate: Callable[[Sequence[GenerationRequest], OnCompletion], Awaitable[None]],
) -> None:
    found: list[Completion] = []
    groups = [
        [
            GenerationRequest(
                request_id=f"{prompt}-{sample}", prompt_token_ids=(1,) * 128, max_tokens=TOKENS,
                temperature=1.0, seed=sample,
            )
            for sample in range(options.samples)
        ]
        for prompt in range(options.prompts)
    ]  # fmt: skip
    await asyncio.gather(*(generate(group, found.append) for group in groups))
    assert len(found) == options.prompts * options.samples


if __name__ == "__main__":
    main()
