"""Drawing groups: what runs when one of them fails, and a validation that nobody judged."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from loop_parts import make_parts
from prorl_api.job import ProRLJobSpec
from prorl_trainer.checkpoint.state import RunState
from prorl_trainer.collect import Sampler, draw
from prorl_trainer.errors import TrainerLostError
from prorl_trainer.loop import evaluate
from prorl_trainer.types import (
    Completion,
    FinishReason,
    GenerationRequest,
    OnCompletion,
    Prompt,
    Verdict,
)
from scripted_rollout import TOKENS, World, make_spec, sample_of
from virtual_clock import virtual

SET: dict[str, Any] = {"name": "sums", "domain": "math", "uri": "gym://reasoning-gym/chain_sum"}
SPEC = ProRLJobSpec.model_validate(
    {
        "model": {"uri": "tiny://llama"},
        "data": {"train": [SET], "validation": {"sets": [SET | {"name": "held-out"}]}},
    }
)
STATE = RunState(job_uid="u", job_name="j", spec_hash="h", accuracy=0.5)


def make_prompt(ordinal: int) -> Prompt:
    return Prompt(
        ordinal=ordinal, set_name="sums", domain="math", verifier="math-verify", text="1+1?",
        token_ids=(1,), answer="2",
    )  # fmt: skip


def make_completion(request: GenerationRequest) -> Completion:
    return Completion(
        request_id=request.request_id, token_ids=(2,), mask=(True,), logprobs=(-1.0,),
        finish_reason=FinishReason.STOP, weight_versions=("1-0",), text="2",
    )  # fmt: skip


class Unjudged:
    """A verifier that is broken for every completion."""

    async def verify(self, _: Prompt, __: Completion) -> Verdict:
        return Verdict(score=None)


class Prompts:
    """Two held-out prompts."""

    fingerprints: dict[str, str] = {}

    def prompt(self, ordinal: int) -> Prompt:
        raise AssertionError(f"{ordinal} is a training prompt")

    def validation(self) -> Sequence[Prompt]:
        return [make_prompt(-1), make_prompt(-2)]


async def test_when_one_group_fails_the_others_are_ended() -> None:
    """They would go on drawing after the loop has begun anew with the same prompts."""
    running = 0

    async def generate(requests: Sequence[GenerationRequest], _: OnCompletion) -> None:
        nonlocal running
        if "-0-" in requests[0].request_id:
            await asyncio.sleep(0)
            raise TrainerLostError("gone while weights were sent to a new engine")
        running += 1
        try:
            await asyncio.sleep(60)
        finally:
            running -= 1
        raise AssertionError("nobody waits for this group")

    prompts = [make_prompt(i) for i in range(3)]
    with pytest.raises(TrainerLostError):
        await draw(
            prompts, SPEC.algorithm, Sampler(generate=generate, verifier=Unjudged()),
            num_samples=2, name="train",
        )  # fmt: skip
    assert running == 0


class Slow:
    """A verifier that takes its time for each sample; `running` is what it has begun."""

    def __init__(self, seconds: Sequence[float]) -> None:
        self.seconds = seconds
        self.running: list[int] = []

    async def verify(self, _: Prompt, completion: Completion) -> Verdict:
        sample = sample_of(completion)
        self.running.append(sample)
        await asyncio.sleep(self.seconds[sample])
        self.running.remove(sample)
        return Verdict(score=float(sample))


def world_of(generate_seconds: Sequence[float]) -> World:
    return World(seconds=lambda r: generate_seconds[int(r.request_id.rpartition("-")[2])])


@virtual
async def test_a_completion_is_verified_while_the_others_of_its_group_are_drawn() -> None:
    """Sample 0 is the last to be drawn, sample 2 the longest to be judged."""
    world = world_of([9 * TOKENS, 1 * TOKENS, 2 * TOKENS])
    out = await draw(
        [world.prompt(7)], make_spec().algorithm,
        Sampler(generate=world.generate, verifier=Slow([1.0, 1.0, 60.0])),
        num_samples=3, name="train",
    )  # fmt: skip
    (group,) = out.groups
    assert [sample_of(c) for c in group.completions] == [0, 1, 2], "in the order of the requests"
    assert [v.score for v in group.verdicts] == [0.0, 1.0, 2.0]
    assert out.generate_seconds == pytest.approx(72.0)
    assert out.verify_seconds == pytest.approx(4.0), "what is left after the last completion"
    assert out.verify_latencies == pytest.approx((4.0,))


@virtual
async def test_verification_ends_with_the_drawing_that_failed() -> None:
    world, verifier = world_of([8.0, 1.0]), Slow([60.0, 60.0])

    async def generate(requests: Sequence[GenerationRequest], on_completion: OnCompletion) -> None:
        await world.generate(requests[1:], on_completion)
        await asyncio.sleep(0)
        assert verifier.running == [1]
        raise TrainerLostError("gone")

    with pytest.raises(TrainerLostError):
        await draw(
            [world.prompt(0)], make_spec().algorithm,
            Sampler(generate=generate, verifier=verifier), num_samples=2, name="train",
        )  # fmt: skip
    before = verifier.running
    await asyncio.sleep(120)
    assert verifier.running == before == [1], "it was not ended, it came to its end"


async def test_a_validation_that_nobody_judged_changes_nothing() -> None:
    async def generate(requests: Sequence[GenerationRequest], on_completion: OnCompletion) -> None:
        for request in requests:
            on_completion(make_completion(request))

    sampler = Sampler(generate=generate, verifier=Unjudged())
    parts = make_parts(SPEC, prompts=Prompts(), sampler=sampler)
    assert await evaluate(parts, STATE) == STATE
